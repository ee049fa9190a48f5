"""Requests that are sent again: a few times, after growing pauses, and not for long."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from pollgate.client.transport import Failure, NoAnswer, Refused

PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0)
TIME_LIMIT_S: Final = 30.0
"""How long after the first attempt another one may begin."""

TOO_MANY_REQUESTS: Final = 429
KEY_IN_USE: Final = "idempotency-key-in-use"
_PASSING: Final = frozenset({None, 502, 503, 504})
"""With these the next attempt may fare better; `None` is an answer that was lost."""

T = TypeVar("T")


async def sent_again(send: Callable[[], Awaitable[T]], *, also_after_loss: bool = True) -> T:
    """What `send` gives, called again where it was refused for haste, or it is not known what has become of it; the
    latter only where that does no harm. Waits as long as the server asks. Raises what the last attempt raises.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + TIME_LIMIT_S
    for pause_s in PAUSES_S:
        try:
            return await send()
        except Failure as failure:
            wait_s = max(pause_s * random.uniform(0.5, 1), failure.retry_after_s or 0)  # noqa: S311 - no secret
            if not _is_passing(failure, also_after_loss=also_after_loss) or loop.time() + wait_s > give_up_at:
                raise
        await asyncio.sleep(wait_s)
    return await send()


class Attempts(Generic[T]):
    """Sends one request, and remembers whether it was ever unknown what had become of it."""

    def __init__(self, send: Callable[[], Awaitable[T]]) -> None:
        self._send = send
        self.lost = False

    async def __call__(self) -> T:
        try:
            return await self._send()
        except NoAnswer:
            self.lost = True
            raise


def _is_passing(failure: Failure, *, also_after_loss: bool) -> bool:
    if isinstance(failure, NoAnswer):
        return also_after_loss and failure.status in _PASSING
    is_for_haste = failure.status == TOO_MANY_REQUESTS or failure.kind == KEY_IN_USE
    return isinstance(failure, Refused) and is_for_haste
