"""Ended tokens are removed after their retention, and their secrets never work again."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
import structlog.testing
from prometheus_client import CollectorRegistry

from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.settings import TokenAuthoritySettings
from services.token_authority.tasks.ended_tokens import BATCH, EndedTokens
from shared.contract.token import digest
from shared.runtime.postgres.database import Database
from shared.runtime.postgres.database import database as connected
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import copy_token, fetch
from tests.support.stack import Authority
from tests.support.token_fixtures import Reader, backdate

pytestmark = pytest.mark.shared_services

DAYS = 400


class Purge:
    """Runs the purge, and moves tokens into the past."""

    def __init__(self, opened: Database, database: ClonedDatabase) -> None:
        self.opened = opened
        self.database = database
        self.registry = CollectorRegistry()
        self._metrics = AuthorityMetrics(self.registry)

    async def __call__(self, days: int = DAYS) -> int:
        return await EndedTokens(self.opened, self._metrics, days=days).purge(datetime.now(UTC))

    async def end(self, token_id: str, *, revoked: int | None = None, expired: int | None = None) -> None:
        """Set how many days ago the token was revoked or has expired."""
        await backdate(self.database, token_id, created=timedelta(days=1000))
        for column, days in (("revoked_at", revoked), ("expires_at", expired)):
            if days is not None:
                statement = f"UPDATE token_authority.token SET {column} = now() - $2::interval WHERE id = $1"
                await run_statements(
                    self.database, "SET session_replication_role = replica", (statement, token_id, timedelta(days=days))
                )

    async def forget_changes(self) -> None:
        """Leave no change of a token in the log, as its retention does when every guard has applied them.

        The running authority has seen the numbers, so they stay.
        """
        statement = "UPDATE token_authority.change_log SET kind = 'restored', token_id = NULL"
        await fetch(self.database.admin_url, statement)


async def run_statements(database: ClonedDatabase, *statements: Any) -> None:
    """Run statements in one session of the superuser."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        for statement in statements:
            await connection.execute(*([statement] if isinstance(statement, str) else statement))
    finally:
        await connection.close()


@pytest.fixture
async def purge(database: ClonedDatabase) -> AsyncGenerator[Purge, None]:
    async with connected(database.token_authority_url, size=2, statement_cache=100) as opened:
        yield Purge(opened, database)


def test_retention_is_400_days_by_default() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(TokenAuthoritySettings)}

    assert fields["ended_token_retention_days"].default == DAYS


async def test_purge_removes_tokens_that_ended_before_retention_only(
    authority: Authority, purge: Purge, subtests: pytest.Subtests
) -> None:
    ends: dict[str, dict[str, int]] = {
        "revoked long ago": {"revoked": 401},
        "expired long ago": {"expired": 401},
        "both long ago": {"revoked": 401, "expired": 500},
        "revoked lately": {"revoked": 399},
        "expired lately": {"expired": 399},
        "expired long ago, revoked lately": {"expired": 500, "revoked": 10},
        "alive": {},
    }
    for name, end in ends.items():
        issued = await authority.issue(name=name)
        await purge.end(issued["id"], **end)

    with structlog.testing.capture_logs() as logs:
        assert await purge() == 3
        assert await purge() == 0

    assert set(await Reader(authority).list_names()) == {
        "revoked lately",
        "expired lately",
        "expired long ago, revoked lately",
        "alive",
    }
    assert [log["tokens"] for log in logs if log["event"] == "ended tokens removed"] == [3]
    assert purge.registry.get_sample_value("pollgate_purged_tokens_total") == 3


async def test_purge_removes_kept_findings_of_the_token_only(
    authority: Authority, purge: Purge, database: ClonedDatabase
) -> None:
    ended, alive = [(await authority.issue())["id"] for _ in range(2)]
    for token_id in (ended, alive):
        for kind in ("unused", "never_expires"):
            assert (await authority.manage("POST", f"/v1/tokens/{token_id}/keep", {"kind": kind})).status == 200
    await purge.end(ended, expired=401)

    assert await purge() == 1

    rows = await fetch(database.admin_url, "SELECT token_id FROM token_authority.kept_finding")
    assert [row["token_id"] for row in rows] == [alive, alive]


async def test_purged_token_is_unknown_everywhere_and_its_history_stays(authority: Authority, purge: Purge) -> None:
    issued = await authority.issue(name="Weekly report", owner="ada")
    await authority.introspect(issued["token"])
    rotated = (await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})).json
    await authority.introspect(issued["token"])
    await authority.revoke(issued["id"])
    await purge.forget_changes()
    await purge.end(issued["id"], revoked=401)

    assert await purge() == 1

    for secret in (issued["token"], rotated["token"]):
        assert (await authority.introspect(secret)).json == {"active": False}
        revoked = await authority("POST", "/oauth2/revoke", data={"token": secret})
        assert (revoked.status, revoked.json) == (200, {})
        assert (await authority.manage("POST", "/v1/tokens/find", {"token": secret})).status == 404
    assert (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).status == 404
    for table, column in (("token_use", "token_id"), ("token_day", "token_id"), ("secret", "holder_id")):
        query = f"SELECT FROM token_authority.{table} WHERE {column} = $1"
        assert await fetch(purge.database.admin_url, query, issued["id"]) == []
    records = (await authority.manage("GET", f"/v1/audit?subject=token:{issued['id']}")).json["items"]
    assert {record["action"] for record in records} >= {"token.issue", "token.revoke", "token.purge"}
    assert (records[-1]["actor"], records[-1]["before"]["name"]) == ("policy", "Weekly report")


async def test_token_with_change_in_log_is_kept(authority: Authority, purge: Purge) -> None:
    issued = await authority.issue()
    await authority.revoke(issued["id"])
    await purge.end(issued["id"], revoked=401)

    assert await purge() == 0
    await FakeGuard(authority).follow()
    await purge.forget_changes()
    assert await purge() == 1


async def test_purge_goes_through_batches(authority: Authority, purge: Purge) -> None:
    issued = await authority.issue()
    await copy_token(purge.database, issued["id"], BATCH + 1)
    past = "SET created_at = now() - interval '600 days', expires_at = now() - interval '500 days'"
    await fetch(purge.database.admin_url, f"UPDATE token_authority.token {past}")

    assert await purge() == BATCH + 2


async def test_refusal_and_usage_of_purged_token_are_dropped(authority: Authority, purge: Purge) -> None:
    issued = await authority.issue()
    await purge.end(issued["id"], expired=401)
    await purge()

    assert (await FakeGuard(authority).sync([(issued["id"], 1, 0)])).status == 200
    assert (await authority.introspect(issued["token"])).json == {"active": False}
    assert await fetch(purge.database.admin_url, "SELECT FROM token_authority.token_day") == []


async def test_service_may_remove_ended_tokens_only_and_never_store_their_secrets_again(
    authority: Authority, purge: Purge
) -> None:
    alive, ended = await authority.issue(), await authority.issue()
    await purge.end(ended["id"], expired=401)
    url = purge.database.token_authority_url
    for table, column in (("secret", "holder_id"), ("token", "id")):
        statement = f"DELETE FROM token_authority.{table} WHERE {column} = $1"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetch(url, statement, alive["id"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(url, "DELETE FROM token_authority.secret WHERE holder_kind = 'admin_key'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(url, "DELETE FROM token_authority.purged_secret")

    await purge()

    again = """
        INSERT INTO token_authority.secret (id, holder_kind, holder_id, digest, hint, created_at)
        VALUES ('sec_again', 'token', $1, $2, 'x', now())
    """
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="a removed secret stays ended"):
        await fetch(url, again, alive["id"], digest(ended["token"]))
