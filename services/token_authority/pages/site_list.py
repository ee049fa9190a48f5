"""The list of sites within the limits of the administrator."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import DATABASE, SESSION, SETTINGS
from services.token_authority.domain.selection import Selection
from services.token_authority.pages.page import page
from services.token_authority.pages.site_choice import sites_for
from services.token_authority.storage.selections import count_by_site


async def show_sites(request: web.Request) -> web.Response:
    """Return the list, with the number of tokens of each site that the administrator may see."""
    rights = request[SESSION].rights
    counts = await count_by_site(request.app[DATABASE], Selection().within(rights), datetime.now(UTC))
    return page(
        request,
        "sites.html",
        sites=[site for site in await sites_for(request) if rights.sites is None or site.id in rights.sites],
        polls_url=request.app[SETTINGS].polls_url.rstrip("/"),
        counts=counts,
    )
