"""Connections that are lost in the middle of a transaction are replaced, and disturb nothing else."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.postgres.database import database as open_database
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch

PID = "-- pid: of the connection\nSELECT pg_backend_pid() AS pid"


@pytest.fixture
async def pool(database: ClonedDatabase) -> AsyncGenerator[Database, None]:
    """Open a pool of one connection."""
    async with open_database(database.admin_url, size=1, statement_cache=100) as opened:
        yield opened


async def pid_of(pool: Database) -> int:
    (row,) = await pool.fetch(PID)
    return int(row["pid"])


async def end(url: str, pid: int) -> None:
    """End a connection at the server, and wait until the pool has noticed."""
    await fetch(url, f"SELECT pg_terminate_backend({pid})")
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("error", [TimeoutError, asyncio.CancelledError])
async def test_connection_that_is_lost_while_its_transaction_fails_leaves_no_timer(
    pool: Database, database: ClonedDatabase, error: type[BaseException]
) -> None:
    before = await pid_of(pool)

    with pytest.raises((DatabaseUnavailable, asyncio.CancelledError)):  # noqa: PT012 - lost within the transaction
        async with pool.transaction(0.3):
            await end(database.admin_url, before)
            raise error

    await asyncio.sleep(0.5)  # nothing cancels this
    assert await pid_of(pool) != before


async def test_connection_that_is_lost_while_it_is_idle_is_replaced(pool: Database, database: ClonedDatabase) -> None:
    before = await pid_of(pool)

    await end(database.admin_url, before)

    assert await pid_of(pool) != before


async def test_connection_is_used_again(pool: Database) -> None:
    assert len({await pid_of(pool) for _ in range(5)}) == 1


async def test_transaction_that_cannot_begin_is_not_repeated_on_its_connection(
    pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await pid_of(pool)

    async def fail(transaction: asyncpg.transaction.Transaction) -> None:
        transaction._connection._top_xact = transaction
        raise asyncpg.QueryCanceledError("BEGIN was cancelled")

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.transaction.Transaction, "start", fail)
        with pytest.raises(DatabaseUnavailable):
            async with pool.transaction():
                pass

    async with pool.transaction() as transaction:
        (row,) = await transaction.fetch(PID)
    assert row["pid"] != before
