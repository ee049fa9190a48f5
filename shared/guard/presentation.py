"""How a request presents its token: as `?token=…` or as `Authorization: Bearer …` (RFC 6750 §2), and only once."""

from typing import Final, NamedTuple

from aiohttp import hdrs, web

from shared.guard.errors import QueryUnreadable, TokenMissing, TokenTwice
from shared.runtime.http.problem import BadRequest
from shared.runtime.http.query import query_of


class PresentedToken(NamedTuple):
    """A token as it was sent, and whether it was sent in the URL."""

    token: str
    is_in_query: bool


PRESENTED_TOKEN: Final = web.RequestKey("presented_token", PresentedToken)


def take_token(request: web.Request) -> PresentedToken:
    """Return the token of a request. Remove it from the request's `Query`, so that handlers do not see it.

    Raise `TokenMissing`, `TokenTwice` or `QueryUnreadable`.
    """
    try:
        in_query = query_of(request).take("token")
    except BadRequest as error:
        raise QueryUnreadable(error.detail) from None
    tokens = list(in_query)
    for header in request.headers.getall(hdrs.AUTHORIZATION, ()):
        scheme, _, credential = header.partition(" ")
        if scheme.lower() == "bearer":
            tokens.append(credential.strip())
    if len(tokens) > 1:
        raise TokenTwice
    if not tokens or not tokens[0]:
        raise TokenMissing
    return PresentedToken(tokens[0], is_in_query=bool(in_query))


def bypasses_cache(request: web.Request) -> bool:
    """Return whether the request has `Cache-Control: no-cache` (RFC 9111 §5.2.1.4)."""
    if hdrs.CACHE_CONTROL not in request.headers:
        return False
    directives = ",".join(request.headers.getall(hdrs.CACHE_CONTROL)).lower().split(",")
    return any(directive.strip() == "no-cache" for directive in directives)
