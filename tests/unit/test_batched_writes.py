"""Writes of one key that arrive together share a transaction, and each gets the result that it would get alone."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from shared.runtime.postgres.batched_writes import MAX_WRITES, BatchedWrites, write_each
from shared.runtime.postgres.database import Connection, Database, DatabaseUnavailable, UnstorableValue


class Ledger:
    """A database whose transactions wait until they are released. `batches` has the values of each."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.written: list[str] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.writes = BatchedWrites[str, str, str](write_each(cast(Database, self), self.write))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any, None]:
        written, batch = self.written.copy(), list[str]()
        self.batches.append(batch)
        try:
            yield batch
        except BaseException:
            self.written = written
            raise

    async def write(self, connection: Connection, value: str) -> str:
        if connection is cast(Any, self):
            self.batches.append([value])
        else:
            cast(Any, connection).append(value)
        await self.may_write.wait()
        if value == "poison":
            raise UnstorableValue("NUL")
        if value == "outage":
            raise DatabaseUnavailable("away")
        self.written.append(value)
        return value.upper()


async def put(ledger: Ledger, *values: str, key: str = "poll") -> list[Any]:
    """Write values at once, and return the result or the error of each."""
    return await asyncio.gather(*(ledger.writes.put(key, value) for value in values), return_exceptions=True)


async def test_writes_that_arrive_together_share_a_transaction_in_order() -> None:
    ledger = Ledger()

    results = await put(ledger, "a", "b", "c")

    assert results == ["A", "B", "C"]
    assert ledger.batches == [["a", "b", "c"]]


async def test_write_that_arrives_during_another_waits_for_the_next_transaction() -> None:
    ledger = Ledger()
    ledger.may_write.clear()
    first = ledger.writes.put("poll", "a")
    while not ledger.batches:
        await asyncio.sleep(0)
    rest = [ledger.writes.put("poll", value) for value in "bc"]
    ledger.may_write.set()

    assert await asyncio.gather(first, *rest) == ["A", "B", "C"]
    assert ledger.batches == [["a"], ["b", "c"]]


async def test_writes_of_different_keys_do_not_wait_for_each_other() -> None:
    ledger = Ledger()

    await asyncio.gather(put(ledger, "a", key="one"), put(ledger, "b", key="two"))

    assert sorted(ledger.batches) == [["a"], ["b"]]


async def test_transaction_has_a_maximum_of_writes() -> None:
    ledger = Ledger()
    values = [str(number) for number in range(2 * MAX_WRITES + 1)]

    assert await put(ledger, *values) == values
    assert [len(batch) for batch in ledger.batches] == [MAX_WRITES, MAX_WRITES, 1]


async def test_write_that_fails_does_not_fail_the_others() -> None:
    ledger = Ledger()

    results = await put(ledger, "a", "poison", "b")

    assert [results[0], type(results[1]), results[2]] == ["A", UnstorableValue, "B"]
    assert ledger.written == ["a", "b"]


async def test_outage_fails_every_write_of_its_transaction_once() -> None:
    ledger = Ledger()

    results = await put(ledger, "a", "outage", "b")

    assert {type(result) for result in results} == {DatabaseUnavailable}
    assert ledger.written == []
    assert len(ledger.batches) == 1


async def test_write_that_its_request_has_given_up_is_left_out() -> None:
    ledger = Ledger()
    ledger.may_write.clear()
    first = ledger.writes.put("poll", "a")
    while not ledger.batches:
        await asyncio.sleep(0)
    given_up, kept = ledger.writes.put("poll", "b"), ledger.writes.put("poll", "c")
    given_up.cancel()
    ledger.may_write.set()

    assert [await first, await kept] == ["A", "C"]
    assert ledger.written == ["a", "c"]


async def test_writer_that_is_cancelled_fails_what_waits() -> None:
    ledger, others = Ledger(), asyncio.all_tasks()
    ledger.may_write.clear()
    writes = [ledger.writes.put("poll", value) for value in "ab"]
    while not ledger.batches:
        await asyncio.sleep(0)
    waiting = ledger.writes.put("poll", "c")
    (writer,) = asyncio.all_tasks() - others
    writer.cancel()

    for write in (*writes, waiting):
        with pytest.raises(DatabaseUnavailable):
            await write
