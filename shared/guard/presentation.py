"""How a request presents its token: in the Authorization header or in the query (RFC 6750 §2), and only once."""

from typing import Final

from aiohttp import hdrs, web
from msgspec import Struct

from shared.contract.presented_secret import describe_flaw, trim_secret
from shared.contract.token import ACCESS_TOKEN
from shared.guard.errors import QueryOfPage, QueryUnreadable, TokenInvalid, TokenMissing, TokenTwice
from shared.runtime.http.authorization import read_authorization
from shared.runtime.http.cors import has_listed_origin
from shared.runtime.http.problem import BadRequest
from shared.runtime.http.query import query_of

QUERY_PARAMETERS: Final = ("token", "access_token")
"""The parameters that may carry the token: that of the Team Voice contract, and that of RFC 6750 §2.3."""


class PresentedToken(Struct, frozen=True):
    """A token as it was sent, without whitespace around it, and whether it was sent in the URL."""

    token: str
    is_in_query: bool


PRESENTED_TOKEN: Final = web.RequestKey("presented_token", PresentedToken)


def take_token(request: web.Request) -> PresentedToken:
    """Return the token of a request. Remove it from the request's `Query`, so that handlers do not see it.

    Raise `TokenMissing`, `TokenTwice`, `QueryUnreadable` or `QueryOfPage`.
    """
    in_query = _take_from_query(request) if request.rel_url.raw_query_string else []
    tokens = in_query.copy()
    for header in request.headers.getall(hdrs.AUTHORIZATION, ()):
        sent = read_authorization(header)
        if sent.scheme == "bearer":
            tokens.append(sent.credential)
    if len(tokens) > 1:
        raise TokenTwice
    token = trim_secret(tokens[0]) if tokens else ""
    if not token:
        raise TokenMissing
    if in_query and has_listed_origin(request):
        raise QueryOfPage
    return PresentedToken(token, is_in_query=bool(in_query))


def _take_from_query(request: web.Request) -> list[str]:
    try:
        return query_of(request).take_all(QUERY_PARAMETERS)
    except BadRequest as error:
        raise QueryUnreadable(error.detail) from None


def token_invalid(token: str, authority_url: str | None) -> TokenInvalid:
    """Return the error for a token that does not work, which says what helps.

    `authority_url` is the public URL of the token authority, if it is known.
    """
    flaw = describe_flaw(token, ACCESS_TOKEN)
    if flaw is not None:
        return TokenInvalid(flaw)
    where = f"GET {authority_url.rstrip('/')}/v1/token" if authority_url else "GET /v1/token of the token authority"
    return TokenInvalid(
        "This access token does not work: it is unknown, disabled, expired or revoked. To see why, send it as "
        f"'Authorization: Bearer …' to {where}."
    )


def keeps_private(response: web.StreamResponse) -> bool:
    """Return whether shared caches must not store the response, by its `Cache-Control` (RFC 9111 §5.2.2)."""
    cache_control = response.headers.get(hdrs.CACHE_CONTROL, "")
    if cache_control == "no-store":
        return True
    directives = cache_control.lower().split(",")
    return not {"private", "no-store"}.isdisjoint(directive.strip() for directive in directives)


def bypasses_cache(request: web.Request) -> bool:
    """Return whether the request has `Cache-Control: no-cache` (RFC 9111 §5.2.1.4)."""
    if hdrs.CACHE_CONTROL not in request.headers:
        return False
    directives = ",".join(request.headers.getall(hdrs.CACHE_CONTROL)).lower().split(",")
    return any(directive.strip() == "no-cache" for directive in directives)
