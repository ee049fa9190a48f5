"""Transactions that wait for one lock leave connections to other statements."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.postgres.database import database as opened_database
from tests.support.databases import ClonedDatabase

SIZE = 4
ONE = "-- one: a short statement\nSELECT 1"


@pytest.fixture
async def open_database(database: ClonedDatabase) -> AsyncGenerator[Database, None]:
    async with opened_database(database.polls_url, size=SIZE, statement_cache=0) as it:
        yield it


async def test_waiting_transactions_hold_half_of_the_connections(open_database: Database) -> None:
    held, begun, free = [], asyncio.Event(), asyncio.Event()

    async def wait_for_lock() -> None:
        async with open_database.contended_transaction():
            held.append(1)
            if len(held) == SIZE // 2:
                begun.set()
            await free.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(5 * SIZE):
            group.create_task(wait_for_lock())
        async with asyncio.timeout(10):
            await begun.wait()
        async with AsyncExitStack() as others:
            for _ in range(SIZE // 2):
                transaction = await others.enter_async_context(open_database.transaction())
                await transaction.execute(ONE)
        held_meanwhile = len(held)
        free.set()

    assert held_meanwhile == SIZE // 2
    assert len(held) == 5 * SIZE


async def test_transaction_that_gets_no_turn_in_time_fails_as_unavailable(open_database: Database) -> None:
    async with AsyncExitStack() as held:
        for _ in range(SIZE // 2):
            await held.enter_async_context(open_database.contended_transaction())
        with pytest.raises(DatabaseUnavailable):
            async with open_database.contended_transaction(0.2):
                pass
        await open_database.execute(ONE)
