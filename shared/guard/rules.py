"""What a token may be held to beside its scopes: how it is sent, from where, and how often."""

from math import ceil
from typing import Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.guard.errors import AddressNotAllowed, QueryNotAllowed, RateLimited
from shared.guard.presented import Presented
from shared.runtime.http.client_address import client_address
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

_VERDICT: Final = web.RequestKey("rate_limit_verdict", Verdict)


class Rules:
    """One a guard. A token without such properties costs nothing here."""

    def __init__(self, limiter: RateLimiter, proxy_hops: int) -> None:
        self._limiter = limiter
        self._proxy_hops = proxy_hops

    async def require(self, request: web.Request, presented: Presented, grant: Grant) -> None:
        """Count the request against the token's limit, whichever of its secrets was presented.

        Raises `QueryNotAllowed`, `AddressNotAllowed`, or `RateLimited`; only what passes the first two is counted.
        """
        self.require_way(request, presented, grant)
        if grant.rate_limit is not None:
            verdict = request[_VERDICT] = await self._limiter.hit(grant.token_id, grant.rate_limit)
            if not verdict.allowed:
                raise RateLimited(grant.rate_limit, _whole_seconds(verdict))

    def require_way(self, request: web.Request, presented: Presented, grant: Grant) -> None:
        """How and from where the token was sent. Raises `QueryNotAllowed` or `AddressNotAllowed`."""
        if presented.in_query and not grant.allow_query:
            raise QueryNotAllowed
        if grant.allowed_ips:
            address = client_address(request, self._proxy_hops)
            if not grant.works_from(address):
                raise AddressNotAllowed(address)


RULES: Final = web.AppKey("rules", Rules)


async def add_rate_limit(request: web.Request, response: web.StreamResponse) -> None:
    """How many requests a minute the token has, how many are left, and when there are more.

    The fields are of draft-ietf-httpapi-ratelimit-headers-09 §§3, 4.
    """
    if _VERDICT in request:
        verdict = request[_VERDICT]
        response.headers["RateLimit-Policy"] = f'"token";q={verdict.limit};w={WINDOW_S}'
        response.headers["RateLimit"] = f'"token";r={verdict.remaining};t={_whole_seconds(verdict)}'


def _whole_seconds(verdict: Verdict) -> int:
    return max(1, ceil(verdict.reset_s))
