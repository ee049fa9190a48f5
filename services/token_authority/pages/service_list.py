"""The list of services."""

from aiohttp import web

from services.token_authority.app_keys import DATABASE
from services.token_authority.pages.page import page
from services.token_authority.pages.site_choice import sites_for
from services.token_authority.storage.services import select_services


async def show_services(request: web.Request) -> web.Response:
    """Return the list."""
    found = await select_services(request.app[DATABASE])
    return page(request, "services.html", services=found, sites=await sites_for(request))
