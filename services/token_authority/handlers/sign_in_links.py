"""`/v1/sign-in-links`: create links that sign in on the settings pages."""

from urllib.parse import urlsplit

from aiohttp import web

from services.token_authority.app_keys import SESSIONS, SETTINGS
from services.token_authority.domain.errors import Forbidden
from services.token_authority.handlers.access import presented_admin_key
from services.token_authority.payloads.sign_in_links import SignInLinkPayload
from shared.runtime.http.address import is_loopback_host
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response


@endpoint(
    summary="Create a sign-in link",
    description="The link signs in once on the settings pages, within ten minutes and with the rights of this admin "
    "key, and only while the secret that created it works. It is for a browser on the machine of the token authority, "
    "so the host of `TOKEN_AUTHORITY_ISSUER` has to be a loopback address.",
    tags=("admin keys",),
    responses={201: Response(description="The link, which is not shown again.", body=SignInLinkPayload)},
    problems={403: "The URL of this token authority is not on a loopback address; sign in with an admin key instead."},
)
async def create_sign_in_link(request: web.Request) -> web.Response:
    """Return 201 with the link."""
    issuer = request.app[SETTINGS].token_authority_issuer
    if not is_loopback_host(urlsplit(issuer).hostname or ""):
        raise Forbidden(
            "Sign-in links are for a browser on the machine of the token authority, and the URL of this one "
            "(TOKEN_AUTHORITY_ISSUER) is not on a loopback address. Sign in on its settings pages with an admin key."
        )
    link = await request.app[SESSIONS].create_link(presented_admin_key(request))
    return json_response(SignInLinkPayload.of(issuer, link.code, link.expires_at), status=201)
