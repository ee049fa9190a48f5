"""`/v1/sites`: list sites."""

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, DATABASE
from services.token_authority.payloads.sites import SitePage, SitePayload
from services.token_authority.storage.sites import select_sites
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="List sites",
    tags=("sites",),
    responses={200: Response(description="Every site, the default one first.", body=SitePage)},
)
async def list_sites(request: web.Request) -> web.Response:
    """Return 200 with every site within the limits of the admin key, the default one first."""
    limits = request[ADMIN_KEY].sites
    found = await select_sites(request.app[DATABASE])
    return json_response(SitePage([SitePayload.of(site) for site in found if limits is None or site.id in limits]))
