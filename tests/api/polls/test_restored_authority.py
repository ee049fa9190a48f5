"""A service with a guard, while the database of the token authority is restored: no revoked token works again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.journal import MergedJournals
from services.token_authority.domain.restoration import Decision
from services.token_authority.operations import restore
from shared.runtime.postgres.database import database as open_database
from tests.support.backups import back_up
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.shared_stack import wait_for_lease
from tests.support.stack import Authority, Polls, run_polls_service, run_token_authority

pytestmark = pytest.mark.own_database

LEASE_S = 0.5


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": LEASE_S}


async def is_accepted(polls: Polls, token: str) -> bool:
    """Return whether the service accepts a token. It must answer that it does not, or that it cannot tell."""
    status = (await polls.with_token(token).call("GET")).status
    assert status in (200, 403, 503), status
    return status == 200


async def wait_until_accepted(polls: Polls, token: str) -> None:
    async with asyncio.timeout(10):
        while not await is_accepted(polls, token):
            await asyncio.sleep(0.02)


async def wait_for_restoration(database: ClonedDatabase) -> None:
    """Wait until the restore is noticed, and what was lost is reported."""
    async with asyncio.timeout(10):
        while not await fetch(database.admin_url, "SELECT FROM token_authority.reported_change"):
            await asyncio.sleep(0.02)


async def finish(database: ClonedDatabase) -> None:
    async with open_database(database.token_authority_url, size=2, statement_cache=0) as opened:
        decision = Decision("accept-risk", Actor("operator", "ada"), "as a test does")
        assert await restore.finish(opened, decision, journals=MergedJournals((), 0), lease_s=LEASE_S)


async def test_token_revoked_after_the_backup_never_works_again(
    authority: Authority, polls: Polls, database: ClonedDatabase
) -> None:
    kept, lost = (await authority.issue())["token"], await authority.issue()
    async with back_up(database) as backup:
        await wait_until_accepted(polls, kept)
        await wait_until_accepted(polls, lost["token"])
        assert (await authority.revoke(lost["id"]))["effective"] is True
        assert not await is_accepted(polls, lost["token"])
        await backup.restore()

        while not await fetch(database.admin_url, "SELECT FROM token_authority.restoration"):
            assert not await is_accepted(polls, lost["token"])
        await wait_for_restoration(database)
        for _ in range(20):
            assert not await is_accepted(polls, lost["token"])
        await finish(database)
        await wait_until_accepted(polls, kept)

    assert (await polls.with_token(lost["token"]).call("GET")).status == 403


async def test_guard_notices_the_restore_of_an_authority_that_has_started_again(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    """Only the guard knows what was lost: every process of the authority has started again."""
    async with run_token_authority(database, redis_url, tmp_path) as authority:
        kept, lost, port = (await authority.issue())["token"], await authority.issue(), URL(authority.base).port
        endpoint = await authority.get_endpoint()
    again = {"token_authority_port": port, "revocation_lease": LEASE_S}
    async with (
        back_up(database) as backup,
        run_polls_service(database, redis_url, f"http://127.0.0.1:{port}") as polls,
    ):
        polls.endpoint = endpoint
        async with run_token_authority(database, redis_url, tmp_path, **again) as authority:
            await wait_for_lease(polls)
            await wait_until_accepted(polls, lost["token"])
            assert (await authority.revoke(lost["id"]))["guards"] == {"confirmed": 1, "expired": 0}
        await backup.restore()

        async with run_token_authority(database, redis_url, tmp_path, **again):
            while not await fetch(database.admin_url, "SELECT FROM token_authority.restoration"):
                assert not await is_accepted(polls, lost["token"])
            await wait_for_restoration(database)
            await finish(database)
            await wait_until_accepted(polls, kept)

            assert (await polls.with_token(lost["token"]).call("GET")).status == 403
    (row,) = await fetch(database.admin_url, "SELECT evidence->>'source' AS source FROM token_authority.restoration")
    assert row["source"] == "guard"


async def test_guard_uses_its_cache_until_its_lease_ends_and_then_answers_503(
    authority: Authority, polls: Polls, database: ClonedDatabase
) -> None:
    await wait_until_accepted(polls, polls.token)
    await fetch(
        database.admin_url,
        """INSERT INTO token_authority.restoration (evidence, expected_seq)
           VALUES ('{"source": "operator", "detail": "restored"}', 0)""",
    )

    async with asyncio.timeout(5):
        while await is_accepted(polls, polls.token):
            await asyncio.sleep(0.02)

    refused = await polls.call("GET")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
