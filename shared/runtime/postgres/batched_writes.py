"""Carry out writes of one key that arrive together in one transaction, so that they share its commit."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from shared.runtime.postgres.database import Connection, Database, DatabaseUnavailable
from shared.runtime.traces.current import current_traces

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")
R = TypeVar("R")

MAX_WRITES: Final = 50
"""The most writes of one transaction, so that none waits long for the others."""


class Write(NamedTuple, Generic[W, R]):
    """A write that waits, and the future for its result, which is done if its request has given up."""

    value: W
    result: "asyncio.Future[R]"

    def answer(self, result: R) -> None:
        """Give the result to the request, if it still waits."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Raise the error where the result is awaited, `DatabaseUnavailable` if the writer was cancelled."""
        if not self.result.done():
            is_failure = isinstance(error, Exception)
            self.result.set_exception(error if is_failure else DatabaseUnavailable("the write was cancelled"))


CarryOut: TypeAlias = Callable[[Sequence[Write[W, R]]], Awaitable[Sequence[tuple[Write[W, R], R]]]]
"""Carry out writes in one transaction, in their order. Return their results, without writes that were left out."""


def write_each(database: Database, write: Callable[[Connection, W], Awaitable[R]]) -> CarryOut[W, R]:
    """Return a function that carries out writes by one call of `write` each, which executes one statement.

    It leaves out what its request has given up until then.
    """

    async def carry_out(batch: "Sequence[Write[W, R]]") -> "list[tuple[Write[W, R], R]]":
        if len(batch) == 1:
            return [(batch[0], await write(database, batch[0].value))]
        async with database.transaction() as transaction:
            return [(each, await write(transaction, each.value)) for each in batch if not each.result.done()]

    return carry_out


class BatchedWrites(Generic[K, W, R]):
    """Writes values, those of one key one after the other. A write of another key does not wait for them.

    What arrives while a transaction of its key is in progress is gathered for the next one. A write that fails alone
    does not keep the others of its transaction from being carried out.
    """

    def __init__(self, carry_out: CarryOut[W, R]) -> None:
        self._carry_out = carry_out
        self._waiting: dict[K, list[Write[W, R]]] = {}
        self._writers: dict[K, asyncio.Task[None]] = {}

    def put(self, key: K, value: W) -> "asyncio.Future[R]":
        """Return a future for the result of the write. It raises what `carry_out` raises, or `DatabaseUnavailable`."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(Write(value, result))
        if key not in self._writers:
            # A context of its own: its log lines have the id of none of the requests.
            context = current_traces().batch_context()
            self._writers[key] = asyncio.get_running_loop().create_task(self._write_all(key), context=context)
        return result

    async def _write_all(self, key: K) -> None:
        """Carry out what waits for a key, until nothing does."""
        try:
            while batch := self._take(key):
                await self._write_batch(batch)
        finally:
            del self._writers[key]
            for left in self._waiting.pop(key, ()):  # the process is stopping
                left.fail(DatabaseUnavailable("the write was cancelled"))

    def _take(self, key: K) -> "list[Write[W, R]]":
        """Return the next writes of a key, without those that their request has given up."""
        waiting = [write for write in self._waiting.pop(key, ()) if not write.result.done()]
        if len(waiting) > MAX_WRITES:
            self._waiting[key] = waiting[MAX_WRITES:]
        return waiting[:MAX_WRITES]

    async def _write_batch(self, batch: "list[Write[W, R]]") -> None:
        """Carry out writes together; one after the other if one of them fails for a reason of its own."""
        try:
            done = await self._carry_out(batch)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, DatabaseUnavailable) and len(batch) > 1:
                for each in batch:
                    await self._write_batch([each])
                return
            for each in batch:
                each.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            for each, result in done:
                each.answer(result)
