"""Calls and messages between nodes. Each direction has a delay, may lose messages, and may deliver after a timeout."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar

from services.token_authority.domain.errors import Restored
from shared.guard.errors import AuthorityRestored, GuardUnavailable
from shared.runtime.postgres.database import DatabaseUnavailable
from tests.simulation.loop import Node

T = TypeVar("T")

CALL_LIMIT_S: Final = 1.0


class Link:
    """One kind of traffic of one node. `slow_s` is the longest extra delay, `loss` the probability of a loss."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.cut = False
        self.slow_s = 0.0
        self.loss = 0.0

    def delay_s(self) -> float | None:
        """Return the delay of the next message in seconds, or `None` if it is lost."""
        if self.cut or self._chance.random() < self.loss:
            return None
        late = self._chance.random() < 0.1
        return self._chance.uniform(0, self.slow_s) + self._chance.expovariate(20 if late else 700)

    async def call(self, server: Node, handle: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the server's answer. Raise `GuardUnavailable` on a timeout; the server may still handle the call."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        carried = loop.create_task(self._carry(server, handle, answer), context=Context())
        carried.add_done_callback(lambda task: task.cancelled() or task.result())
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                return await answer
        except TimeoutError:
            raise GuardUnavailable("no answer within the time limit") from None

    async def _carry(
        self, server: Node, handle: Callable[[], Coroutine[Any, Any, T]], answer: "asyncio.Future[T]"
    ) -> None:
        there_s, back_s = self.delay_s(), self.delay_s()
        if there_s is None:
            return
        await asyncio.sleep(there_s)
        if not server.alive:
            return
        error: Exception | None = None
        result: T | None = None
        try:
            result = await server.start(handle())
        except (DatabaseUnavailable, GuardUnavailable) as raised:
            error = GuardUnavailable(str(raised))
        except Restored as raised:
            error = AuthorityRestored(str(raised))
        if back_s is None:
            return
        await asyncio.sleep(back_s)
        if not answer.done():
            answer.set_result(result) if error is None else answer.set_exception(error)  # type: ignore[arg-type]

    def send(self, deliver: Callable[[], None], receiver: Node) -> None:
        """Deliver a message within the receiver's node after a delay, or lose it."""
        delay_s = self.delay_s()
        if delay_s is not None:

            async def arrive() -> None:
                deliver()

            def there() -> None:
                if receiver.alive:
                    receiver.start(arrive())

            asyncio.get_running_loop().call_later(delay_s, there, context=Context())
