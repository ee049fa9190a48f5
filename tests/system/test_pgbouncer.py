"""PgBouncer in front of PostgreSQL: statements are prepared only where that works, and nothing has to be set."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
import structlog

from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.postgres.database import database as open_database
from tests.support.databases import ClonedDatabase
from tests.support.pgbouncer import find_pgbouncer, run_pgbouncer, version_of
from tests.support.stack import run_polls_service, run_token_authority

pytestmark = pytest.mark.own_database

FEW_SERVERS: Final = {"default_pool_size": "2"}
"""Fewer connections to PostgreSQL than clients have to PgBouncer, so that each transaction may use another one."""
NO_STATEMENTS: Final = "a pooler is in front of PostgreSQL and keeps no prepared statements: none are used"


async def _count_prepared(database: Database, clients: int = 1) -> list[int]:
    """Return how many prepared statements each connection to the pooler sees, when several are used at once."""

    async def count() -> int:
        rows = await database.fetch(
            "-- prepared: statements of this session\n"
            "SELECT count(*) AS prepared FROM pg_prepared_statements, pg_sleep($1)",
            0.01,
        )
        return int(rows[0]["prepared"])

    return await asyncio.gather(*(count() for _ in range(clients)))


async def test_services_work_through_transaction_pooling_without_a_setting(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with (
        run_pgbouncer(tmp_path / "pgbouncer", database, max_client_conn="50", **FEW_SERVERS) as bouncer,
        run_token_authority(bouncer.database, redis_url, tmp_path, database_pool_size=8) as authority,
        run_polls_service(bouncer.database, redis_url, authority.base, database_pool_size=8) as polls,
    ):
        polls.endpoint = await authority.get_endpoint()
        polls.token = (await authority.issue())["token"]

        async def use() -> None:
            token = await authority.issue()
            poll = await polls.create_poll()
            assert (await polls.vote(poll["id"], "ada", "y")).status == 201
            assert (await polls.get_results(poll["id"]))["votes"] == 1
            assert (await polls.with_token(token["token"]).call("GET")).status == 200
            assert (await authority.revoke(token["id"]))["effective"] is True
            assert (await polls.with_token(token["token"]).call("GET")).status == 403

        for _ in range(3):
            await asyncio.gather(*(use() for _ in range(4)))


async def test_pooler_that_keeps_no_prepared_statements_is_noticed(database: ClonedDatabase, tmp_path: Path) -> None:
    settings = {"max_prepared_statements": "0"} if version_of(find_pgbouncer()) >= (1, 21) else {}
    async with run_pgbouncer(tmp_path / "pgbouncer", database, **FEW_SERVERS, **settings) as bouncer:
        with structlog.testing.capture_logs() as logged:
            async with open_database(bouncer.database.polls_url, size=8, statement_cache=100) as opened:
                for _ in range(10):
                    assert await _count_prepared(opened, 8) == [0] * 8

    assert [entry["event"] for entry in logged] == [NO_STATEMENTS]


async def test_pooler_that_keeps_prepared_statements_is_given_them(database: ClonedDatabase, tmp_path: Path) -> None:
    if version_of(find_pgbouncer()) < (1, 21):
        pytest.skip("needs PgBouncer 1.21 or later, such as that of Debian 13; PGBOUNCER names the program")
    async with (
        run_pgbouncer(tmp_path / "pgbouncer", database, **FEW_SERVERS, max_prepared_statements="100") as bouncer,
        open_database(bouncer.database.polls_url, size=8, statement_cache=100) as opened,
    ):
        for _ in range(10):
            assert min(await _count_prepared(opened, 8)) > 0

        bouncer.reload({**FEW_SERVERS, "max_prepared_statements": "0"})
        with structlog.testing.capture_logs() as logged:
            async with asyncio.timeout(20):
                while NO_STATEMENTS not in {entry["event"] for entry in logged}:
                    await _use(opened)
                while not await _use(opened):
                    pass


async def _use(opened: Database) -> bool:
    """Return whether ten statements in a row succeed. They may be unavailable, and nothing else."""
    try:
        for _ in range(10):
            await _count_prepared(opened, 8)
    except DatabaseUnavailable:
        return False
    return True


async def test_direct_connection_prepares_statements(database: ClonedDatabase) -> None:
    async with open_database(database.polls_url, size=1, statement_cache=100) as opened:
        assert await _count_prepared(opened) == [1]


async def test_unsupported_startup_parameter_is_one_sentence(database: ClonedDatabase, tmp_path: Path) -> None:
    async with run_pgbouncer(tmp_path / "pgbouncer", database) as bouncer:
        url = f"{bouncer.database.polls_url}?statement_timeout=500"

        with pytest.raises(DatabaseUnavailable, match="unsupported startup parameter: statement_timeout"):
            async with open_database(url, size=1, statement_cache=100, timeout_s=0):
                pass
