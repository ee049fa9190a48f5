"""The time limit of a statement applies on the server too, although the role has a shorter one."""

from collections.abc import AsyncGenerator

import pytest

from shared.runtime.postgres.database import Connection, Database, StatementTimeout
from shared.runtime.postgres.database import database as opened_database
from tests.support.databases import ClonedDatabase

SLEEP = "-- sleep: longer than the role's own limit\nSELECT pg_sleep(1.7)"


@pytest.fixture
async def open_database(database: ClonedDatabase) -> AsyncGenerator[Database, None]:
    """Open the database with one connection."""
    async with opened_database(database.polls_url, size=1, statement_cache=0) as it:
        yield it


async def test_long_statement_with_default_limit_is_canceled_and_logged_by_its_name(
    open_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StatementTimeout, match="sleep: canceling statement due to statement timeout"):
        await open_database.execute(SLEEP)

    assert any("took longer than it may" in str(record.msg) and "sleep" in str(record.msg) for record in caplog.records)
    assert not any("unavailable" in str(record.msg) for record in caplog.records)


async def test_long_statement_with_longer_limit_succeeds(open_database: Database) -> None:
    assert await open_database.execute(SLEEP, limit_s=5.0) == "SELECT 1"


async def test_limit_can_be_that_of_each_later_statement_of_a_transaction(open_database: Database) -> None:
    async with open_database.transaction(5.0) as transaction:
        await transaction.limit_statements(5.0)
        assert await transaction.fetchrow(SLEEP) is not None


async def test_limit_of_a_transaction_is_not_that_of_its_statements(open_database: Database) -> None:
    with pytest.raises(StatementTimeout):
        async with open_database.transaction(5.0) as transaction:
            await transaction.execute(SLEEP)


async def test_longer_limit_ends_with_its_transaction(open_database: Database) -> None:
    async with open_database.transaction() as transaction:
        await transaction.execute("-- nothing: a statement with a longer limit\nSELECT 1", limit_s=5.0)
        within = await _allowed(transaction)

    assert (within, await _allowed(open_database)) == ("5s", "900ms")


async def _allowed(connection: Connection) -> str:
    (row,) = await connection.fetch("-- show_limit: how long a statement may take\nSHOW statement_timeout")
    return str(row["statement_timeout"])
