"""A database that was restored is noticed, by guards and by the process, and then nothing is accepted."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.backups import back_up
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import fetch
from tests.support.stack import KEY_ENCRYPTION_KEY, Answer, Authority, run_token_authority

pytestmark = pytest.mark.own_database

NO_SETTINGS: Final[Mapping[str, Any]] = {}
OTHER_KEY = "b3RoZXIga2V5IG9mIGEgdGVzdCwgMzIgYnl0ZXMhISE"


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"revocation_lease": 0.5}


Start = Callable[..., AbstractAsyncContextManager[Authority]]


@pytest.fixture
def start(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> Start:
    """Return a function that runs a process of the authority during a block. A new process remembers nothing."""
    return partial(run_token_authority, database, redis_url, tmp_path)


def is_restored(answer: Answer) -> bool:
    """Return whether a response says that the database was restored."""
    return answer.status == 503 and answer.json["type"] == "/docs/problems/restored"


async def revoke_new_token(authority: Authority) -> Any:
    """Issue a token and revoke it. Return the token."""
    issued = await authority.issue()
    await authority.revoke(issued["id"], wait="false")
    return issued


async def select_restorations(database: ClonedDatabase) -> list[Any]:
    query = (
        "SELECT *, evidence->>'source' AS source, evidence->>'client_id' AS client_id FROM token_authority.restoration"
    )
    return await fetch(database.admin_url, query)


async def retry(call: Any, *arguments: Any) -> Answer:
    """Repeat a call while the authority reconnects to its database."""
    async with asyncio.timeout(10):
        while True:
            answer: Answer = await call(*arguments)
            if answer.status != 503 or is_restored(answer):
                return answer
            await asyncio.sleep(0.05)


async def test_introspection_after_a_restore_returns_503_restored_at_the_process_that_revoked(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    async with back_up(database) as backup:
        assert (await retry(authority.introspect, issued["token"])).json["active"] is True
        await authority.revoke(issued["id"], wait="false")
        await backup.restore()

        answer = await retry(authority.introspect, issued["token"])

    assert is_restored(answer)
    assert answer.headers["Retry-After"] == "5"
    (row,) = await select_restorations(database)
    assert (row["source"], row["expected_seq"], row["finished_at"]) == ("process", 1, None)


async def test_revocation_after_a_restore_returns_503_restored_and_is_not_made(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    async with back_up(database) as backup:
        await retry(authority.introspect, issued["token"])
        await revoke_new_token(authority)
        await backup.restore()

        answer = await retry(authority.manage, "POST", f"/v1/tokens/{issued['id']}/revoke", {"reason": "unneeded"})

    assert is_restored(answer)
    assert await fetch(database.admin_url, "SELECT FROM token_authority.change_log") == []
    assert len(await select_restorations(database)) == 1


@pytest.mark.parametrize("authority_settings", [{"revocation_lease": 60}], ids=["long lease"])
async def test_revocation_that_waits_while_the_database_is_restored_returns_503_restored(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    async with back_up(database) as backup:
        guard = FakeGuard(authority)
        await retry(guard.sync)
        path = f"/v1/tokens/{issued['id']}/revoke"
        revoking = asyncio.create_task(authority.manage("POST", path, {"reason": "leaked"}))
        while not await fetch(database.admin_url, "SELECT FROM token_authority.change_log"):
            await asyncio.sleep(0.01)
        await backup.restore()

        answer = await revoking

    assert is_restored(answer)


async def test_guard_with_a_newer_change_than_the_log_proves_the_restore(
    start: Start, database: ClonedDatabase
) -> None:
    async with lose_change(start, database) as (_, guard):
        answer = await guard.sync()

    assert is_restored(answer)
    (row,) = await select_restorations(database)
    assert (row["source"], row["client_id"], row["expected_seq"]) == ("guard", "polls", 1)


@pytest.mark.parametrize("revoked_since", [1, 3], ids=["as many changes", "more changes"])
async def test_guard_with_another_change_under_its_number_proves_the_restore(
    start: Start, database: ClonedDatabase, revoked_since: int
) -> None:
    async with lose_change(start, database) as (authority, guard):
        for _ in range(revoked_since):
            await revoke_new_token(authority)

        answer = await guard.sync()

    assert is_restored(answer)


async def test_guard_that_has_applied_a_push_of_the_restored_log_after_its_own_proves_the_restore(
    start: Start, database: ClonedDatabase
) -> None:
    async with lose_change(start, database) as (authority, guard):
        for _ in range(2):
            await revoke_new_token(authority)
        newest = (await FakeGuard(authority).sync()).json["last"]
        applied = {"applied": newest["seq"], "last": newest, "unconfirmed": [guard.last, newest]}

        answer = await guard.send(applied)

    assert is_restored(answer)


async def test_guard_does_not_confirm_another_change_under_a_number_that_it_has_applied(
    start: Start, database: ClonedDatabase
) -> None:
    """The backup has the lease of the guard, so the revocation waits for it."""
    lease, guard_id = {"revocation_lease": 60}, "the-guard-in-the-backup"
    async with start(**lease) as before:
        await FakeGuard(before, guard_id).follow()
    async with lose_change(start, database, lease, lease, guard_id) as (authority, guard):
        path = f"/v1/tokens/{(await authority.issue())['id']}/revoke"
        revoking = asyncio.create_task(authority.manage("POST", path, {"reason": "leaked"}))
        while not await fetch(database.admin_url, "SELECT FROM token_authority.change_log"):
            await asyncio.sleep(0.01)

        answers = [await guard.sync(), await revoking]

    assert all(map(is_restored, answers))


async def test_guard_that_has_applied_what_the_log_has_proves_nothing(
    authority: Authority, database: ClonedDatabase
) -> None:
    late, guard = FakeGuard(authority), FakeGuard(authority)
    await revoke_new_token(authority)
    await late.follow()
    for _ in range(3):
        await revoke_new_token(authority)
    await guard.follow()

    assert (await late.sync()).json["resync"] is False
    assert (await guard.sync()).json["changes"] == []
    assert await select_restorations(database) == []


async def test_receipt_that_the_authority_did_not_make_proves_nothing(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests, caplog: pytest.LogCaptureFixture
) -> None:
    guard = FakeGuard(authority)
    await revoke_new_token(authority)
    await guard.follow()
    genuine = guard.last
    forged = {
        "no receipt": {**genuine, "seq": 2**40, "receipt": ""},
        "another number": {**genuine, "seq": 2**40},
        "another digest": {**genuine, "seq": 2, "digest": "0" * 64},
        "another id": {**genuine, "receipt": "0" * 32 + genuine["receipt"][32:]},
        "a made-up receipt": {**genuine, "seq": 2**40, "receipt": "0" * 54},
        "no receipt at all": {**genuine, "seq": 2**40, "receipt": "…" * 100},
    }
    for name, last in forged.items():
        with subtests.test(name):
            guard.applied, guard.last = last["seq"], last

            answer = await guard.sync()

            assert (answer.status, answer.json["resync"]) == (200, last["seq"] > 1)
    assert await select_restorations(database) == []
    warnings = [str(entry.msg) for entry in caplog.records if entry.levelno == logging.WARNING]
    assert any("without a valid receipt" in message for message in warnings)


async def test_guard_of_the_previous_release_ahead_of_the_log_starts_again(
    authority: Authority, database: ClonedDatabase
) -> None:
    answer = await FakeGuard(authority).send({"applied": 100, "usage": []})

    assert (answer.status, answer.json["resync"]) == (200, True)
    assert await select_restorations(database) == []


async def test_receipt_made_with_the_previous_key_is_valid_beside_the_new_one(
    start: Start, database: ClonedDatabase
) -> None:
    keys_before = {"key_encryption_key": OTHER_KEY}
    keys_after = {"key_encryption_key": f"{KEY_ENCRYPTION_KEY} {OTHER_KEY}"}
    async with lose_change(start, database, keys_before, keys_after) as (_, guard):
        answer = await guard.sync()

    assert is_restored(answer)


@asynccontextmanager
async def lose_change(
    start: Start,
    database: ClonedDatabase,
    settings_before: Mapping[str, Any] = NO_SETTINGS,
    settings_after: Mapping[str, Any] = NO_SETTINGS,
    guard_id: str | None = None,
) -> AsyncGenerator[tuple[Authority, FakeGuard], None]:
    """Run an authority whose restored database lacks the change that a guard has applied. Yield both."""
    async with start(**settings_before):
        pass
    async with back_up(database) as backup:
        async with start(**settings_before) as before:
            await revoke_new_token(before)
            guard = FakeGuard(before, guard_id)
            await guard.follow()
        await backup.restore()
        async with start(**settings_after) as authority:
            yield authority, move_guard(authority, guard, guard_id)


def move_guard(authority: Authority, guard: FakeGuard, guard_id: str | None) -> FakeGuard:
    """Return a guard that has applied what `guard` has, and syncs with another process."""
    moved = FakeGuard(authority, guard_id)
    moved.applied, moved.last = guard.applied, guard.last
    return moved
