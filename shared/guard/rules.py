"""The restrictions of a token besides its scopes: how it is sent, from which address, and how often."""

from math import ceil
from typing import Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.guard.errors import AddressNotAllowed, QueryNotAllowed, RateLimited
from shared.guard.presentation import PresentedToken
from shared.runtime.http.client_address import client_address
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

_VERDICT: Final = web.RequestKey("rate_limit_verdict", Verdict)


class Rules:
    """Check the restrictions of tokens. Create one instance per guard. A token without restrictions costs nothing."""

    def __init__(self, limiter: RateLimiter, proxy_hops: int) -> None:
        self._limiter = limiter
        self._proxy_hops = proxy_hops

    async def check(self, request: web.Request, presented: PresentedToken, grant: Grant) -> None:
        """Check the presentation, then count the request against the token's rate limit; its secrets share the limit.

        Raise `QueryNotAllowed`, `AddressNotAllowed` or `RateLimited`. The first two are not counted.
        """
        self.check_presentation(request, presented, grant)
        if grant.rate_limit is not None:
            verdict = request[_VERDICT] = await self._limiter.hit(grant.token_id, grant.rate_limit)
            if not verdict.is_allowed:
                raise RateLimited(grant.rate_limit, _whole_seconds(verdict))

    def check_presentation(self, request: web.Request, presented: PresentedToken, grant: Grant) -> None:
        """Check how and from which address the token was sent. Raise `QueryNotAllowed` or `AddressNotAllowed`."""
        if presented.is_in_query and not grant.allow_query:
            raise QueryNotAllowed
        if grant.allowed_ips:
            address = client_address(request, self._proxy_hops)
            if not grant.works_from(address):
                raise AddressNotAllowed(address)


RULES: Final = web.AppKey("rules", Rules)


async def add_rate_limit(request: web.Request, response: web.StreamResponse) -> None:
    """Add `RateLimit-Policy` and `RateLimit` to the response to a request that was counted.

    They are defined by draft-ietf-httpapi-ratelimit-headers-09 §§3, 4. Times are in seconds.
    """
    if _VERDICT in request:
        verdict = request[_VERDICT]
        response.headers["RateLimit-Policy"] = f'"token";q={verdict.limit};w={WINDOW_S}'
        response.headers["RateLimit"] = f'"token";r={verdict.remaining};t={_whole_seconds(verdict)}'


def _whole_seconds(verdict: Verdict) -> int:
    return max(1, ceil(verdict.reset_s))
