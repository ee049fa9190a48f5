"""Repeat requests: a few times, with growing pauses, within a time limit."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from pollgate.client.errors import ClientError, OutcomeUnknown, RateLimited, RequestRejected

PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0)
TIME_LIMIT_S: Final = 30.0
"""How long after the first attempt another one may begin."""

KEY_IN_USE: Final = "idempotency-key-in-use"
_TEMPORARY: Final = frozenset({None, 502, 503, 504})
"""Statuses after which another attempt may succeed; `None` is a lost response."""

T = TypeVar("T")


async def with_retries(send: Callable[[], Awaitable[T]], *, repeat_unknown: bool = True) -> T:
    """Return the result of `send`, called again where that may help: after 429, or where the outcome is unknown.

    `repeat_unknown` is for requests that can be repeated without harm. Wait at least as long as the service asks.
    Raise the error of the last attempt.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + TIME_LIMIT_S
    for pause_s in PAUSES_S:
        try:
            return await send()
        except ClientError as error:
            wait_s = max(pause_s * random.uniform(0.5, 1), error.retry_after_s or 0)  # noqa: S311 - no secret
            if not _is_temporary(error, repeat_unknown=repeat_unknown) or loop.time() + wait_s > give_up_at:
                raise
        await asyncio.sleep(wait_s)
    return await send()


class Attempts(Generic[T]):
    """Send one request, and remember in `outcome_unknown` whether the outcome of any attempt was unknown."""

    def __init__(self, send: Callable[[], Awaitable[T]]) -> None:
        self._send = send
        self.outcome_unknown = False

    async def __call__(self) -> T:
        try:
            return await self._send()
        except OutcomeUnknown:
            self.outcome_unknown = True
            raise


def _is_temporary(error: ClientError, *, repeat_unknown: bool) -> bool:
    if isinstance(error, OutcomeUnknown):
        return repeat_unknown and error.status in _TEMPORARY
    return isinstance(error, RateLimited) or (isinstance(error, RequestRejected) and error.type == KEY_IN_USE)
