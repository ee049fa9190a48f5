"""`/metrics` shows the statements that a request costs."""

import asyncio
from typing import Any, Final

import pytest
import structlog
from prometheus_client import CollectorRegistry

from shared.runtime.postgres.database import UnstorableValue
from shared.runtime.postgres.database import database as open_database
from shared.runtime.postgres.query_metrics import UNNAMED, QueryMetrics
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority, Polls
from tests.support.statements import count_statements

END_CONNECTION: Final = """
    CREATE FUNCTION polls.end_connection() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM pg_terminate_backend(pg_backend_pid());
        RETURN NEW;
    END
    $$
"""
BEFORE_INSERT: Final = """
    CREATE TRIGGER end_connection BEFORE INSERT ON polls.poll
    FOR EACH ROW EXECUTE FUNCTION polls.end_connection()
"""
POLL: Final = {"title": "Lunch?", "options": [{"id": "a", "title": "Yes"}, {"id": "b", "title": "No"}]}


async def test_list_of_polls_counts_one_statement(polls: Polls) -> None:
    for _ in range(3):
        assert (await polls.call("POST", POLL)).status == 200

    async with count_statements(polls) as counted:
        assert len((await polls.call("GET")).json) == 3

    assert counted == {"select_polls": 1}


async def test_statements_in_a_transaction_are_counted(authority: Authority) -> None:
    async with count_statements(authority) as counted:
        await authority.issue()

    assert counted["insert_token"] == counted["insert_secret"] == 1


async def test_failed_statement_is_counted(database: ClonedDatabase) -> None:
    registry = CollectorRegistry()
    options: Any = {"size": 1, "statement_cache": 0, "registry": registry}

    async with open_database(database.polls_url, **options) as opened:
        with pytest.raises(UnstorableValue):
            await opened.fetch("-- echo: what cannot be stored\nSELECT $1::text", "\0")

    assert registry.get_sample_value("pollgate_database_statement_seconds_count", {"query": "echo"}) == 1


@pytest.mark.own_database
async def test_batch_that_loses_its_connection_returns_503_and_logs_no_failed_item(
    polls: Polls, database: ClonedDatabase
) -> None:
    await fetch(database.admin_url, END_CONNECTION)
    await fetch(database.admin_url, BEFORE_INSERT)
    item = {"op": "create", "poll": {**POLL, "location": {"workspace": "PLAT", "content": "PLAT-1"}}}

    with structlog.testing.capture_logs() as logs:
        answer = await polls.v1("POST", "/polls:batch", {"items": [item, item]})

    assert answer.status == 503
    assert "request failed" not in [line["event"] for line in logs]


def test_composed_statements_are_counted_under_one_name() -> None:
    registry = CollectorRegistry()
    statements = QueryMetrics(registry)

    for number in range(2500):
        statements.of(f"\n    -- find: by conditions\n    SELECT {number}").observe(0.001)

    assert registry.get_sample_value("pollgate_database_statement_seconds_count", {"query": "find"}) == 2500


async def test_every_statement_has_a_name(polls: Polls, authority: Authority) -> None:
    assert (await polls.call("GET")).status == 200
    assert (await polls("GET", "/readyz")).status == 200

    for service in (polls, authority):
        metrics = (await service("GET", "/metrics")).body.decode()

        assert 'query="select_migrations"' in metrics
        assert f'query="{UNNAMED}"' not in metrics


async def test_concurrent_statements_are_all_counted(polls: Polls) -> None:
    async with count_statements(polls) as counted:
        await asyncio.gather(*(polls.v1("GET", "/polls") for _ in range(20)))

    assert counted == {"list_polls": 20}


async def test_reads_that_arrive_together_share_statements(polls: Polls) -> None:
    poll_ids = [(await polls.create_poll())["id"] for _ in range(10)]
    async with count_statements(polls) as counted:
        answers = await asyncio.gather(*(polls.v1("GET", f"/polls/{poll_id}") for poll_id in poll_ids * 3))

    assert [answer.json["id"] for answer in answers] == poll_ids * 3
    assert counted["select_poll"] < len(answers)
