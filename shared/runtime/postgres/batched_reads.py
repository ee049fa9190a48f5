"""Answer single reads that arrive together by one statement: its cost is shared, and few connections are needed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Final, Generic, TypeVar

from shared.runtime.postgres.database import DatabaseUnavailable, UnstorableValue
from shared.runtime.traces.current import current_traces

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
        self._is_gathering = False

    def get(self, key: K) -> "asyncio.Future[V | None]":
        """Return a future for the value, `None` if there is none. It raises what `select` raises."""
        value: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(value)
        self._start_statement()
        return value

    def _start_statement(self) -> None:
        """Read what waits, unless a statement is about to begin or as many as may are in progress."""
        if not self._waiting or self._is_gathering or self._reading == MAX_STATEMENTS:
            return
        self._reading += 1
        self._is_gathering = True
        # A context of its own: its log lines have the id of none of the requests.
        context = current_traces().batch_context()
        reader = asyncio.get_running_loop().create_task(self._read_next(), context=context)
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)

    async def _read_next(self) -> None:
        try:
            waiting = await self._gather()
            self._start_statement()  # for keys beyond the limit of this one
            await self._read(waiting)
        finally:
            self._reading -= 1
        self._start_statement()

    async def _gather(self) -> "_Waiting[K, V]":
        """Take the keys of one statement, as soon as a step of the event loop adds none.

        A statement costs much more than a key. Without other requests, the wait is one step of a few microseconds.
        """
        gathered = 0
        try:
            while gathered < len(self._waiting) < self._max_keys:
                gathered = len(self._waiting)
                await asyncio.sleep(0)
        finally:
            self._is_gathering = False
        return {key: self._waiting.pop(key) for key in list(islice(self._waiting, self._max_keys))}

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
