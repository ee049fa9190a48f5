"""The restrictions of a token besides its scopes: how it is sent, from which address, and how often."""

from math import ceil
from typing import Final

from aiohttp import web

from shared.contract.introspection import Grant
from shared.guard.errors import AddressNotAllowed, BatchOverRateLimit, QueryNotAllowed, RateLimited
from shared.guard.presentation import PresentedToken
from shared.runtime.http.client_address import client_address
from shared.runtime.redis.rate_limit import RateLimiter
from shared.runtime.redis.rate_window import WINDOW_S, Verdict

_VERDICT: Final = web.RequestKey("rate_limit_verdict", Verdict)
_UNCOUNTED: Final = web.RequestKey("grant_of_uncounted_request", Grant)


class Rules:
    """Check the restrictions of tokens. Create one instance per guard. A token without restrictions costs nothing."""

    def __init__(self, limiter: RateLimiter, proxy_hops: int) -> None:
        self._limiter = limiter
        self._proxy_hops = proxy_hops

    async def check_before_count(self, request: web.Request, grant: Grant) -> None:
        """Prepare a request that `count_items` counts, once the number of items is known.

        Raise `RateLimited` if not even one is left.
        """
        request[_UNCOUNTED] = grant
        if grant.rate_limit is not None:
            verdict = await self._limiter.peek(grant.token_id, grant.rate_limit)
            if not verdict.is_allowed:
                request[_VERDICT] = verdict
                raise RateLimited(grant.rate_limit, _whole_seconds(verdict))

    async def count(self, request: web.Request, grant: Grant, cost: int) -> None:
        """Count `cost` requests against the token's rate limit, or none of them and raise `RateLimited`.

        The secrets of a token share its limit. Raise `BatchOverRateLimit` if the limit is lower than `cost`, so that
        waiting would not help.
        """
        if grant.rate_limit is None:
            return
        if cost > grant.rate_limit:
            raise BatchOverRateLimit(cost, grant.rate_limit)
        verdict = request[_VERDICT] = await self._limiter.hit(grant.token_id, grant.rate_limit, cost)
        if not verdict.is_allowed:
            raise RateLimited(grant.rate_limit, _whole_seconds(verdict), cost)

    def check_presentation(self, request: web.Request, presented: PresentedToken, grant: Grant) -> None:
        """Check how and from which address the token was sent. Raise `QueryNotAllowed` or `AddressNotAllowed`."""
        if presented.is_in_query and not grant.allow_query:
            raise QueryNotAllowed
        if grant.allowed_ips:
            address = client_address(request, self._proxy_hops)
            if not grant.works_from(address):
                raise AddressNotAllowed(address)


RULES: Final = web.AppKey("rules", Rules)


async def count_items(request: web.Request, items: int) -> None:
    """Count a batch of this many items against the rate limit of its token, before anything is done.

    For routes whose access rule has `counts_items`. Raise `RateLimited` if fewer are left, or `BatchOverRateLimit` if
    there are more items than the token may send per minute.
    """
    grant = request[_UNCOUNTED]
    del request[_UNCOUNTED]
    await request.app[RULES].count(request, grant, items)


async def count_if_uncounted(request: web.Request) -> None:
    """Count one request if its handler should have called `count_items` and has not, as for an unreadable batch."""
    if _UNCOUNTED in request:
        await count_items(request, 1)


def add_rate_limit(request: web.Request, response: web.StreamResponse) -> None:
    """Add `RateLimit-Policy` and `RateLimit` to the response to a request of a token with a rate limit.

    They are defined by draft-ietf-httpapi-ratelimit-headers-09 §§3, 4. Times are in seconds.
    """
    if _VERDICT in request:
        verdict = request[_VERDICT]
        response.headers["RateLimit-Policy"] = f'"token";q={verdict.limit};w={WINDOW_S}'
        response.headers["RateLimit"] = f'"token";r={verdict.remaining};t={_whole_seconds(verdict)}'


def _whole_seconds(verdict: Verdict) -> int:
    return max(1, ceil(verdict.reset_s))
