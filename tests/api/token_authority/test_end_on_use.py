"""`end_on_use` of admin keys and services: the first use of the new secret ends the old one."""

from typing import Any

import pytest

from tests.support.stack import Authority, basic_auth

pytestmark = pytest.mark.shared_services


async def test_first_use_of_new_admin_key_ends_old_one(authority: Authority) -> None:
    made = (await authority.manage("POST", "/v1/admin-keys", {"name": "k", "role": "auditor"})).json
    path = f"/v1/admin-keys/{made['id']}/rotate"

    async def status_with(key: str) -> int:
        return (await authority("GET", "/v1/admin-keys/own", headers={"Authorization": f"Bearer {key}"})).status

    new = (await authority.manage("POST", path, {"overlap_s": 3600, "end_on_use": True})).json
    before = await status_with(made["key"])
    used = await status_with(new["key"])
    after = await status_with(made["key"])

    record = (await authority.manage("GET", f"/v1/audit?subject=admin_key:{made['id']}")).json["items"][-1]
    assert new["old_secrets_end_at"] is not None
    assert (before, used, after) == (200, 200, 401)
    assert (record["action"], record["actor"], len(record["after"]["ended"])) == (
        "admin_key.end_old_secret",
        "admin_key",
        1,
    )


async def test_first_use_of_new_secret_of_service_ends_old_one(authority: Authority) -> None:
    made = (await authority.manage("POST", "/v1/services", {"client_id": "s"})).json

    async def status_with(secret: str) -> int:
        headers = basic_auth("s", secret)
        return (await authority("POST", "/oauth2/introspect", data={"token": "x"}, headers=headers)).status

    body: dict[str, Any] = {"overlap_s": 3600, "end_on_use": True}
    new = (await authority.manage("POST", "/v1/services/s/rotate", body)).json
    statuses = [await status_with(each) for each in (made["secret"], new["secret"], made["secret"])]

    record = (await authority.manage("GET", "/v1/audit?subject=service:s")).json["items"][-1]
    assert new["old_secrets_end_at"] is not None
    assert statuses == [200, 200, 401]
    assert (record["action"], record["actor"]) == ("service.end_old_secret", "service")


async def test_rotation_without_end_on_use_leaves_old_secrets_working(authority: Authority) -> None:
    made = (await authority.manage("POST", "/v1/admin-keys", {"name": "k", "role": "auditor"})).json
    new = (await authority.manage("POST", f"/v1/admin-keys/{made['id']}/rotate", {})).json

    statuses = [
        (await authority("GET", "/v1/admin-keys/own", headers={"Authorization": f"Bearer {key}"})).status
        for key in (new["key"], made["key"])
    ]

    assert statuses == [200, 200]
