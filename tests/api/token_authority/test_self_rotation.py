"""`POST /v1/token/rotate`: the holder of a token swaps its secret, where the token allows it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.token_authority.domain.self_rotation import MAX_SECRETS_PER_DAY
from tests.support.databases import ClonedDatabase
from tests.support.postgres import copy_token, fetch
from tests.support.stack import Answer, Authority, Polls
from tests.support.token_fixtures import are_active, expire_token

pytestmark = pytest.mark.shared_services


async def rotate(authority: Authority, secret: str, key: str | None = None, **body: Any) -> Answer:
    headers = {"Authorization": f"Bearer {secret}", **({"Idempotency-Key": key} if key else {})}
    return await authority("POST", "/v1/token/rotate", headers=headers, json=body)


async def test_holder_gets_new_secret_and_token_stays_the_same(authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", owner="ada", expires_in="30d", self_rotation=True)

    rotated = await rotate(authority, issued["token"])

    shown = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    end = datetime.fromisoformat(rotated.json["old_secrets_end_at"])
    assert (rotated.status, rotated.json["id"], rotated.json["works"]) == (200, issued["id"], True)
    assert timedelta(minutes=59) < end - datetime.now(UTC) <= timedelta(hours=1, seconds=1)
    assert await are_active(authority, issued["token"], rotated.json["token"]) == [True, True]
    for name in ("scopes", "expires_at", "owner", "name", "created_by"):
        assert shown[name] == issued[name]


async def test_rotation_without_overlap_ends_presented_secret_everywhere(authority: Authority, polls: Polls) -> None:
    issued = await authority.issue(self_rotation=True)
    assert (await polls.with_token(issued["token"]).call("GET")).status == 200

    rotated = await rotate(authority, issued["token"], overlap_s=0)

    assert rotated.json["effect"]["effective"] is True
    assert (await polls.with_token(issued["token"]).call("GET")).status == 403
    assert (await polls.with_token(rotated.json["token"]).call("GET")).status == 200


async def test_rotate_token_without_self_rotation_returns_403_that_names_administrator(authority: Authority) -> None:
    issued = await authority.issue()

    refused = await rotate(authority, issued["token"])
    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"self_rotation": True})
    allowed = await rotate(authority, issued["token"])
    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"self_rotation": False})
    again = await rotate(authority, allowed.json["token"])

    assert (refused.status, refused.json["type"]) == (403, "/docs/problems/self-rotation-forbidden")
    assert "administrator" in refused.json["detail"]
    assert (allowed.status, again.status) == (200, 403)


async def test_holder_is_shown_whether_token_allows_it(authority: Authority) -> None:
    for allowed in (False, True):
        issued = await authority.issue(self_rotation=allowed)

        held = await authority("GET", "/v1/token", headers={"Authorization": f"Bearer {issued['token']}"})

        assert held.json["self_rotation"] is issued["self_rotation"] is allowed


async def test_secret_that_does_not_work_returns_401(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    for end in ("revoked", "expired", "disabled", "rotated"):
        with subtests.test(end=end):
            issued = await authority.issue(self_rotation=True)
            path = f"/v1/tokens/{issued['id']}"
            if end == "expired":
                await expire_token(database, issued["id"])
            elif end == "revoked":
                await authority.revoke(issued["id"])
            else:
                body = {"overlap_s": 0} if end == "rotated" else {}
                await authority.manage("POST", f"{path}/{'rotate' if end == 'rotated' else 'disable'}", body)

            answer = await rotate(authority, issued["token"])

            assert (answer.status, end in answer.json["detail"]) == (401, True)
            assert "Bearer" in answer.headers["WWW-Authenticate"]


async def test_admin_key_or_unknown_token_returns_401(authority: Authority) -> None:
    assert (await rotate(authority, authority.admin_key)).status == 401
    assert (await authority("POST", "/v1/token/rotate")).status == 401


async def test_repetition_with_key_replaces_lost_secret(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True)
    lost = await rotate(authority, issued["token"], key="k")

    again = await rotate(authority, issued["token"], key="k")
    other = await rotate(authority, issued["token"], key="k", overlap_s=60)

    secrets = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["secrets"]
    assert (again.status, len(secrets)) == (200, 2)
    assert await are_active(authority, issued["token"], lost.json["token"], again.json["token"]) == [True, False, True]
    assert (other.status, other.json["type"]) == (422, "/docs/problems/idempotency-key-reused")


async def test_replaced_secret_cannot_rotate_again_and_returns_409(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True)
    rotated = await rotate(authority, issued["token"])

    with_old = await rotate(authority, issued["token"])
    with_new = await rotate(authority, rotated.json["token"])
    without_overlap = await rotate(authority, rotated.json["token"], overlap_s=0)

    assert (with_old.status, with_old.json["type"]) == (409, "/docs/problems/secret-replaced")
    assert (with_new.status, with_new.json["type"]) == (409, "/docs/problems/too-many-secrets")
    assert without_overlap.status == 200
    assert await are_active(authority, issued["token"], without_overlap.json["token"]) == [False, True]


async def test_end_on_use_ends_old_secret_when_new_one_rotates(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True)
    rotated = await rotate(authority, issued["token"], end_on_use=True)

    again = await rotate(authority, rotated.json["token"])

    assert again.status == 200
    assert await are_active(authority, issued["token"], again.json["token"]) == [False, True]


async def test_holder_gets_limited_number_of_secrets_per_day(authority: Authority) -> None:
    secret = (await authority.issue(self_rotation=True))["token"]
    for _ in range(MAX_SECRETS_PER_DAY - 1):
        answer = await rotate(authority, secret, overlap_s=0)
        secret = answer.json["token"]

    refused = await rotate(authority, secret, overlap_s=0)

    assert refused.status == 429
    assert 86_000 < int(refused.headers["Retry-After"]) <= 86_401


async def test_repetitions_with_key_count_as_secrets_of_the_day(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True)

    repeated = [await rotate(authority, issued["token"], key="k") for _ in range(MAX_SECRETS_PER_DAY)]

    assert {answer.status for answer in repeated[:-1]} == {200}
    assert repeated[-1].status == 429
    assert 86_000 < int(repeated[-1].headers["Retry-After"]) <= 86_401
    assert await are_active(authority, issued["token"], repeated[-2].json["token"]) == [True, True]


async def test_invalid_body_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    issued = await authority.issue(self_rotation=True)
    bodies: list[dict[str, Any]] = [
        {"overlap_s": -1},
        {"overlap_s": 86_401},
        {"overlap_s": 0, "end_on_use": True},
        {"expires_in": "90d"},
        {"scopes": ["polls:*:*"]},
    ]
    for body in bodies:
        with subtests.test(body=body):
            assert (await rotate(authority, issued["token"], **body)).status in (400, 422)
    assert (await rotate(authority, issued["token"], key="a b")).status == 400
    assert len((await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["secrets"]) == 1


async def test_address_outside_allowed_networks_returns_403(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True, allowed_ips=["203.0.113.0/24"])

    answer = await rotate(authority, issued["token"])

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/forbidden")


async def test_revocation_ends_all_secrets(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True)
    rotated = await rotate(authority, issued["token"])

    await authority.revoke(issued["id"])

    assert await are_active(authority, issued["token"], rotated.json["token"]) == [False, False]


async def test_audit_record_names_token_as_actor(authority: Authority) -> None:
    issued = await authority.issue(self_rotation=True)

    await rotate(authority, issued["token"], overlap_s=60)

    record = (await authority.manage("GET", f"/v1/audit?subject=token:{issued['id']}")).json["items"][-1]
    assert (record["actor"], record["actor_id"], record["action"]) == ("holder", issued["id"], "token.rotate")
    assert (record["after"]["overlap_s"], record["after"]["end_on_use"]) == (60, False)


async def test_token_stored_by_earlier_release_does_not_allow_self_rotation(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue(self_rotation=True)
    await copy_token(database, issued["id"], 1)

    query = "SELECT self_rotation FROM token_authority.token WHERE id <> $1"
    (stored,) = await fetch(database.admin_url, query, issued["id"])

    assert issued["self_rotation"] is True
    assert stored["self_rotation"] is False
