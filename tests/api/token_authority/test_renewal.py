"""Renewal: a rotation sets a new expiry, also for an expired token. Secrets in use never work longer for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Answer, Authority
from tests.support.token_fixtures import are_active, expire_token, rotate

pytestmark = pytest.mark.shared_services


def remaining_life(answer: Answer) -> timedelta:
    """Return how long the token in the response works from now."""
    return datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)


async def test_rotation_sets_expiry_counted_from_now(authority: Authority, subtests: pytest.Subtests) -> None:
    at = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    for new in ({"expires_in": "90d"}, {"expires_in": 90 * 86_400}, {"expires_in": "P90D"}, {"expires_at": at}):
        for old in (None, "30d", "365d"):
            with subtests.test(new=new, old=old):
                issued = await authority.issue(expires_in=old)

                renewed = await rotate(authority, issued["id"], **new)

                assert renewed.status == 200
                assert timedelta(days=89, hours=23) < remaining_life(renewed) <= timedelta(days=90)
                assert (await authority.introspect(renewed.json["token"])).json["active"] is True


async def test_rotation_without_expiry_keeps_expiry(authority: Authority) -> None:
    issued = await authority.issue(expires_in="30d")

    rotated = await rotate(authority, issued["id"])

    assert rotated.json["expires_at"] == issued["expires_at"]


async def test_old_secret_does_not_work_longer_after_renewal(authority: Authority) -> None:
    issued = await authority.issue(expires_in=60)

    renewed = await rotate(authority, issued["id"], overlap_s=3600, expires_in="90d")

    old = (await authority.introspect(issued["token"])).json
    assert old["exp"] == int(datetime.fromisoformat(issued["expires_at"]).timestamp())
    assert renewed.json["old_secrets_end_at"] == issued["expires_at"]


async def test_expired_token_is_renewed_and_its_old_secret_stays_ended(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    await authority.introspect(issued["token"])
    await expire_token(database, issued["id"])

    renewed = await rotate(authority, issued["id"], expires_in="90d")

    active = await are_active(authority, issued["token"], renewed.json["token"])
    assert (renewed.status, renewed.json["status"], active) == (200, "active", [False, True])


async def test_rotation_of_expired_token_without_expiry_returns_409_that_says_how_to_go_on(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue()
    await expire_token(database, issued["id"])

    for answer in (
        await rotate(authority, issued["id"]),
        await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"name": "n"}),
    ):
        assert (answer.status, answer.json["type"]) == (409, "/docs/problems/token-ended")
        assert "expires_in" in answer.json["detail"]


async def test_renewal_of_revoked_token_returns_409(authority: Authority) -> None:
    issued = await authority.issue()
    await authority.revoke(issued["id"])

    answer = await rotate(authority, issued["id"], expires_in="90d")

    assert (answer.status, answer.json["type"]) == (409, "/docs/problems/token-ended")


async def test_invalid_new_expiry_returns_422_and_creates_no_secret(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    issued = await authority.issue()
    for body in (
        {"expires_in": 0},
        {"expires_in": "8x"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_in": "1d", "expires_at": "2090-01-01T00:00:00Z"},
    ):
        with subtests.test(body=body):
            answer = await rotate(authority, issued["id"], **body)

            assert answer.status == 422
            assert "never expires" not in answer.json["detail"]
    assert len((await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["secrets"]) == 1


async def test_repeated_renewal_replaces_secret_and_keeps_first_expiry(authority: Authority) -> None:
    issued = await authority.issue(expires_in="30d")
    lost = await rotate(authority, issued["id"], key="k", expires_in="90d")
    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"expires_in": "10d"})

    again = await rotate(authority, issued["id"], key="k", expires_in="90d")

    active = await are_active(authority, lost.json["token"], again.json["token"])
    assert (again.status, active) == (200, [False, True])
    assert remaining_life(again) <= timedelta(days=10)


async def test_issuer_renews_only_tokens_within_its_limits(authority: Authority) -> None:
    issuer = (
        await authority.manage("POST", "/v1/admin-keys", {"name": "i", "role": "issuer", "scopes": ["polls:read:PLAT"]})
    ).json["key"]
    inside, outside = await authority.issue("polls:read:PLAT"), await authority.issue("polls:read:OTHER")

    statuses = [
        (
            await authority(
                "POST",
                f"/v1/tokens/{token['id']}/rotate",
                headers={"Authorization": f"Bearer {issuer}"},
                json={"expires_in": "90d"},
            )
        ).status
        for token in (inside, outside)
    ]

    assert statuses == [200, 404]


async def test_audit_record_of_renewal_has_both_ends(authority: Authority) -> None:
    issued = await authority.issue(expires_in="30d")

    renewed = (await rotate(authority, issued["id"], expires_in="90d")).json

    record = (await authority.manage("GET", f"/v1/audit?subject=token:{issued['id']}")).json["items"][-1]
    assert (record["action"], record["before"]["expires_at"]) == ("token.rotate", issued["expires_at"])
    assert record["after"]["expires_at"] == renewed["expires_at"]


class TestMaximumLifetime:
    """A limit of the operator."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"max_token_lifetime_days": 100}

    async def test_renewal_counts_maximum_lifetime_from_now(self, authority: Authority) -> None:
        issued = await authority.issue(expires_in="30d")

        statuses = [
            (await rotate(authority, issued["id"], expires_in=each)).status for each in ("100d", "101d", "never")
        ]

        assert statuses == [200, 422, 422]


@pytest.mark.own_database
async def test_service_role_cannot_let_secret_in_use_work_longer(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    issued = await authority.issue(expires_in="30d")
    rotated = await authority.issue(expires_in="30d")
    for token in (issued, rotated):
        await authority.introspect(token["token"])
    await rotate(authority, rotated["id"])
    for statement in (
        "UPDATE token_authority.token SET expires_at = expires_at + interval '1 day'",
        "UPDATE token_authority.token SET expires_at = NULL",
        "UPDATE token_authority.secret SET ends_at = NULL WHERE holder_kind = 'token'",
        "UPDATE token_authority.secret SET first_used_at = NULL WHERE first_used_at IS NOT NULL",
        "UPDATE token_authority.secret SET digest = sha256('x') WHERE first_used_at IS NOT NULL",
    ):
        with subtests.test(statement=statement), pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetch(database.token_authority_url, statement)
