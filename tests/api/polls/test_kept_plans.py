"""PostgreSQL keeps the plan of the statement that reads places, instead of planning each execution again."""

import asyncpg

from services.polls.storage.polls import PageKey, select_pages
from shared.contract.scope import Place
from tests.support.databases import ClonedDatabase

CUSTOM_PLANS_FIRST = 5
"""PostgreSQL plans a prepared statement for its values this many times before it compares that with a kept plan."""


async def test_plan_for_places_is_kept_after_first_executions(database: ClonedDatabase) -> None:
    connection = await asyncpg.connect(database.polls_url)
    try:
        for number in range(CUSTOM_PLANS_FIRST + 3):
            await select_pages(connection, [PageKey("site", Place("PLAT", f"PLAT-{number}", ""))], 64)
        plans = await connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE $1",
            "%-- select_polls:%",
        )
    finally:
        await connection.close()

    assert plans is not None
    assert tuple(plans) == (3, CUSTOM_PLANS_FIRST)
