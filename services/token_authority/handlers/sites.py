"""`/v1/sites`: the installations that tokens are for."""

from aiohttp import web

from services.token_authority.app_keys import DATABASE
from services.token_authority.payloads import SitePage, SitePayload
from services.token_authority.storage.sites import select_sites
from shared.runtime.json_response import json_response


async def list_sites(request: web.Request) -> web.Response:
    """200 with every site, the default one first."""
    found = await select_sites(request.app[DATABASE])
    return json_response(SitePage(items=[SitePayload.of(site) for site in found]))
