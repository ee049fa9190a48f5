"""Answer single reads that arrive together by one statement: its cost is shared, and few connections are needed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from itertools import islice
from typing import Final, Generic, TypeVar

from shared.runtime.postgres.database import DatabaseUnavailable, UnstorableValue

K = TypeVar("K")
V = TypeVar("V")

MAX_STATEMENTS: Final = 2
"""Statements at once. What is asked meanwhile waits and is read together."""
MAX_KEYS: Final = 100
"""The most keys of one statement, unless each stands for many rows."""


class BatchedReads(Generic[K, V]):
    """Reads values by key. A read begins after it was asked for, so it sees everything that was committed before.

    `select` returns the values of some different keys, by key, without those that do not exist.
    """

    def __init__(self, select: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, max_keys: int = MAX_KEYS) -> None:
        self._select = select
        self._max_keys = max_keys
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._reading = 0

    def get(self, key: K) -> "asyncio.Future[V | None]":
        """Return a future for the value, `None` if there is none. It raises what `select` raises."""
        loop = asyncio.get_running_loop()
        value: asyncio.Future[V | None] = loop.create_future()
        self._waiting.setdefault(key, []).append(value)
        if self._reading < MAX_STATEMENTS:
            self._reading += 1
            # It begins after the requests that arrived together with this one. Its log lines belong to none of them.
            reader = loop.create_task(self._read_all(), context=Context())
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return value

    async def _read_all(self) -> None:
        """Read until nothing waits."""
        try:
            while self._waiting:
                keys = list(islice(self._waiting, self._max_keys))
                await self._read({key: self._waiting.pop(key) for key in keys})
        finally:
            self._reading -= 1

    async def _read(self, waiting: "_Waiting[K, V]") -> None:
        try:
            found = await self._select(list(waiting))
        except UnstorableValue as error:
            if len(waiting) == 1:
                _fail(waiting, error)
                return
            for key, values in waiting.items():  # one key must not fail the others
                await self._read({key: values})
        except asyncio.CancelledError:
            _fail(waiting, DatabaseUnavailable("the read was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the value is awaited
            _fail(waiting, error)
        else:
            _answer(waiting, found)


_Waiting = Mapping[K, Sequence["asyncio.Future[V | None]"]]
"""Who waits for each key. Those that have been cancelled are done."""


def _answer(waiting: "_Waiting[K, V]", found: Mapping[K, V]) -> None:
    for key, values in waiting.items():
        for value in values:
            if not value.done():
                value.set_result(found.get(key))


def _fail(waiting: "_Waiting[K, V]", error: Exception) -> None:
    for values in waiting.values():
        for value in values:
            if not value.done():
                value.set_exception(error)
