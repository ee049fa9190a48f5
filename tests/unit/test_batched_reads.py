"""Reads that arrive together share a statement, and each gets the answer that it would get alone."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from shared.runtime.postgres.batched_reads import MAX_STATEMENTS, BatchedReads
from shared.runtime.postgres.database import DatabaseUnavailable, UnstorableValue


class Table:
    """A table whose statements wait until they are released."""

    def __init__(self) -> None:
        self.values = {"a": 1, "b": 2}
        self.statements: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads = BatchedReads(self.select)

    async def select(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.statements.append(list(keys))
        values = dict(self.values)  # as of now
        await self.may_answer.wait()
        if "poison" in keys:
            raise UnstorableValue("NUL")
        if "outage" in keys:
            raise DatabaseUnavailable("away")
        return {key: values[key] for key in keys if key in values}

    async def wait_for_statement(self, number: int) -> None:
        """Wait until so many statements have begun."""
        while len(self.statements) < number:
            await asyncio.sleep(0)


async def test_reads_that_arrive_together_are_one_statement() -> None:
    table = Table()

    found = await asyncio.gather(*(table.reads.get(key) for key in ("a", "b", "missing", "a")))

    assert found == [1, 2, None, 1]
    assert table.statements == [["a", "b", "missing"]]


async def test_reads_in_consecutive_steps_of_the_event_loop_are_one_statement() -> None:
    table = Table()
    waiting = []
    for number in range(10):
        waiting.append(table.reads.get(f"key {number}"))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)

    assert [len(keys) for keys in table.statements] == [10]


async def test_read_sees_what_was_stored_before_it_although_another_one_is_in_progress() -> None:
    table = Table()
    table.may_answer.clear()
    first = table.reads.get("a")
    await table.wait_for_statement(1)
    table.values["a"] = 100
    second = table.reads.get("a")
    await table.wait_for_statement(2)
    table.may_answer.set()

    assert (await first, await second) == (1, 100)


async def test_reads_during_a_few_statements_are_one_statement_after_the_first_of_them() -> None:
    table = Table()
    table.may_answer.clear()
    waiting = []
    for number in range(MAX_STATEMENTS):
        waiting.append(table.reads.get(f"key {number}"))
        await table.wait_for_statement(number + 1)
    waiting += [table.reads.get(key) for key in ("a", "b")]
    for _ in range(10):
        await asyncio.sleep(0)

    assert len(table.statements) == MAX_STATEMENTS
    table.may_answer.set()
    assert await asyncio.gather(*waiting) == [None] * MAX_STATEMENTS + [1, 2]
    assert table.statements[MAX_STATEMENTS:] == [["a", "b"]]


async def test_value_that_cannot_be_stored_fails_its_own_read_only() -> None:
    table = Table()

    found = await asyncio.gather(*(table.reads.get(key) for key in ("a", "poison", "b")), return_exceptions=True)

    assert [found[0], found[2]] == [1, 2]
    assert isinstance(found[1], UnstorableValue)


async def test_outage_fails_every_read_and_the_next_ones_are_answered() -> None:
    table = Table()

    failed = await asyncio.gather(*(table.reads.get(key) for key in ("a", "outage")), return_exceptions=True)

    assert [type(error) for error in failed] == [DatabaseUnavailable, DatabaseUnavailable]
    assert await table.reads.get("a") == 1


async def test_cancelled_read_does_not_disturb_the_others() -> None:
    table = Table()
    table.may_answer.clear()
    cancelled, other = asyncio.ensure_future(table.reads.get("a")), table.reads.get("a")
    await table.wait_for_statement(1)
    cancelled.cancel()
    table.may_answer.set()

    assert await other == 1
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_many_keys_take_several_statements() -> None:
    table = Table()
    table.reads = BatchedReads(table.select, max_keys=3)

    await asyncio.gather(*(table.reads.get(str(number)) for number in range(7)))

    assert sorted(map(len, table.statements)) == [1, 3, 3]


async def test_keys_beyond_the_limit_of_a_statement_do_not_wait_for_its_answer() -> None:
    table = Table()
    table.reads = BatchedReads(table.select, max_keys=3)
    table.may_answer.clear()
    waiting = [table.reads.get(key) for key in ("a", "b", "c", "d")]

    await table.wait_for_statement(2)
    table.may_answer.set()

    assert await asyncio.gather(*waiting) == [1, 2, None, None]
