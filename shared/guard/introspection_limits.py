"""Limit how much of the introspections one address can use, so that made-up tokens do not stop those of others.

An address has a share of the introspections in progress. Tokens that turn out not to work are counted per address and
minute. Beyond the limit they are refused with 429, and the address has a smaller share; a token that works is accepted
all the same. Cached tokens need no introspection, so they are not affected. IPv6 addresses count per /64.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import ceil
from typing import Final

from shared.guard.errors import TooManyUnknownTokens
from shared.runtime.process.fair_semaphore import FairSemaphore, QueueFull
from shared.runtime.process.recent_keys import RecentKeys
from shared.runtime.redis.failure_limit import FailureLimit
from shared.runtime.redis.rate_window import WINDOW_S

MAX_CONCURRENT_INTROSPECTIONS: Final = 1024
"""Introspections in progress or waiting, of all addresses."""
PER_NETWORK: Final = 32
"""Introspections in progress of one address."""
QUEUE_PER_NETWORK: Final = 128
"""Introspections of one address that wait for its share."""
PER_NETWORK_BEYOND_LIMIT: Final = 2
"""Introspections in progress of one address from which too many tokens did not work."""
MAX_COUNTED: Final = 10_000
"""Tokens that are remembered because they were counted."""
RETRY_AFTER_S: Final = 1


class IntrospectionLimits:
    """The shares of addresses, by their networks. Create one instance per guard.

    Without `failures`, nothing is counted. `clock` times what is remembered.
    """

    def __init__(self, failures: FailureLimit | None, *, clock: Callable[[], float]) -> None:
        self._failures = failures
        self._shares = FairSemaphore(total=MAX_CONCURRENT_INTROSPECTIONS, per_key=PER_NETWORK, queue=QUEUE_PER_NETWORK)
        self._small_shares = FairSemaphore(
            total=MAX_CONCURRENT_INTROSPECTIONS, per_key=PER_NETWORK_BEYOND_LIMIT, queue=PER_NETWORK
        )
        self._counted = RecentKeys(MAX_COUNTED, WINDOW_S, clock)

    @asynccontextmanager
    async def share(self, network: str | None) -> AsyncGenerator[None, None]:
        """Introspect in the block, within the share of the network; `None` is a token that has worked before.

        Raise `TooManyUnknownTokens` at once if too many tokens of the network wait.
        """
        if network is None:
            yield
            return
        try:
            async with self._shares.acquire(network):
                if self._failures is None or await self._failures.find_excess(network) is None:
                    yield
                    return
                async with self._small_shares.acquire(network):
                    yield
        except QueueFull:
            raise TooManyUnknownTokens(RETRY_AFTER_S) from None

    async def record_unknown(self, key: str, network: str | None) -> TooManyUnknownTokens | None:
        """Count a token that does not work, once per minute. Return the refusal if the network is beyond the limit."""
        if self._failures is None or network is None or key in self._counted:
            return None
        self._counted.add(key)
        excess = await self._failures.record(network)
        return None if excess is None else TooManyUnknownTokens(ceil(excess.reset_s), excess.limit)
