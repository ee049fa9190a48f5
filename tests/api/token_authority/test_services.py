"""Services: creating, changing, rotating and disabling them, and their limits on sites."""

from pathlib import Path
from typing import Any

import pytest

from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, Authority, basic_auth, run_token_authority

pytestmark = pytest.mark.shared_services


async def create_service(authority: Authority, client_id: str = "reports", **fields: Any) -> Any:
    answer = await authority.manage("POST", "/v1/services", {"client_id": client_id, **fields})
    assert answer.status == 201, answer.body
    return answer.json


async def introspect(authority: Authority, secret: str, client_id: str = "reports", token: str = "x") -> Any:
    answer = await authority.introspect(token, client_id, secret)
    return answer.json.get("active", answer.status)


async def test_service_introspects_with_secret_from_its_creation(authority: Authority) -> None:
    made, token = await create_service(authority, name="Weekly reports"), (await authority.issue())["token"]

    secret = made.pop("secret")

    shown = (await authority.manage("GET", "/v1/services/reports")).json
    assert await introspect(authority, secret, token=token) is True
    assert made.items() <= shown.items()
    assert secret not in str(shown)
    assert [each["client_id"] for each in (await authority.manage("GET", "/v1/services")).json["items"]] == [
        "polls",
        "reports",
    ]


async def test_rotated_service_works_with_both_secrets_during_overlap(authority: Authority) -> None:
    old = (await create_service(authority))["secret"]

    new = (await authority.manage("POST", "/v1/services/reports/rotate", {})).json["secret"]

    assert [await introspect(authority, secret) for secret in (old, new)] == [False, False]
    newest = (await authority.manage("POST", "/v1/services/reports/rotate", {"overlap_s": 0})).json["secret"]
    assert [await introspect(authority, secret) for secret in (old, new, newest)] == [401, 401, False]


async def test_disabled_service_returns_401_until_enabled(authority: Authority) -> None:
    secret = (await create_service(authority))["secret"]

    disabled = (await authority.manage("POST", "/v1/services/reports/disable")).json
    refused = await introspect(authority, secret)
    enabled = (await authority.manage("POST", "/v1/services/reports/enable")).json

    assert refused == 401
    assert (disabled["disabled_at"] is None, disabled["disabled_by"][:10]) == (False, "admin_key:")
    assert (enabled["disabled_at"], enabled["disabled_by"]) == (None, None)
    assert await introspect(authority, secret) is False


async def test_token_of_other_site_is_inactive_for_service(authority: Authority, database: ClonedDatabase) -> None:
    await fetch(
        database.admin_url,
        "INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ('site_b', 'B', $1, now())",
        "b" * 27,
    )
    of_default_site, of_site_b = await authority.issue(), await authority.issue(site="site_b")
    secret = (await create_service(authority, sites=["site_b"]))["secret"]

    seen = [await introspect(authority, secret, token=token["token"]) for token in (of_default_site, of_site_b)]
    await authority.manage("PATCH", "/v1/services/reports", {"sites": None})

    assert seen == [False, True]
    assert await introspect(authority, secret, token=of_default_site["token"]) is True
    assert (await authority.manage("GET", f"/v1/tokens/{of_default_site['id']}")).json["refusals"] == 0


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"client_id": ""}, "/client_id"),
    ({"client_id": "a b"}, "/client_id"),
    ({"client_id": "a:b"}, "/client_id"),
    ({"client_id": mint("pgs")}, "/client_id"),
    ({"client_id": "authority"}, "/client_id"),
    ({"client_id": "x" * 65}, "/client_id"),
    ({"sites": []}, "/sites"),
    ({"sites": ["site_unknown"]}, "/sites/0"),
    ({"public_key": "x"}, "/public_key"),
]


async def test_create_service_with_invalid_field_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, pointer in INVALID:
        with subtests.test(body=body, pointer=pointer):
            answer = await authority.manage("POST", "/v1/services", {"client_id": "x", **body})

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)


async def test_create_service_with_existing_client_id_returns_409(authority: Authority) -> None:
    answer = await authority.manage("POST", "/v1/services", {"client_id": "polls"})

    assert (answer.status, answer.json["type"]) == (409, "/docs/problems/name-taken")
    assert await introspect(authority, CLIENT_SECRET, "polls") is False


async def test_unknown_service_returns_404(authority: Authority, subtests: pytest.Subtests) -> None:
    for client_id in ["unknown", "%00", "..%2Fpolls"]:
        with subtests.test(client_id=client_id):
            path = f"/v1/services/{client_id}"

            assert (await authority.manage("GET", path)).status == 404
            assert (await authority.manage("PATCH", path, {"name": "x"})).status == 404
            assert (await authority.manage("POST", f"{path}/disable")).status == 404
            assert (await authority.manage("POST", f"{path}/rotate", {})).status == 404


async def test_service_cannot_report_uses_of_tokens_of_other_sites(
    authority: Authority, database: ClonedDatabase
) -> None:
    await fetch(
        database.admin_url,
        "INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ('site_b', 'B', $1, now())",
        "b" * 27,
    )
    token = await authority.issue()
    secret = (await create_service(authority, sites=["site_b"]))["secret"]
    use = {"token_id": token["id"], "secret_id": "x", "uses": 7, "refusals": 1, "last_used_ms_ago": 0}

    answer = await authority(
        *("POST", "/v1/guards/0123456789abcdef/sync"),
        headers=basic_auth("reports", secret),
        json={"applied": None, "usage": [use]},
    )

    shown = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json
    assert (answer.status, shown["uses"], shown["refusals"], shown["last_used_at"]) == (200, 0, 0, None)


async def test_change_service_to_no_sites_returns_422(authority: Authority) -> None:
    await create_service(authority)

    answer = await authority.manage("PATCH", "/v1/services/reports", {"sites": []})

    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/sites")


async def test_introspect_batch_returns_up_to_100_results_in_order(authority: Authority) -> None:
    issued = [await authority.issue(name=f"{number}") for number in range(2)]
    tokens = [issued[0]["token"], mint("pgt"), issued[1]["token"], "nonsense"]
    headers = basic_auth("polls", CLIENT_SECRET)

    answer = await authority("POST", "/oauth2/introspect/batch", headers=headers, json={"tokens": tokens})

    client_ids = [each.get("client_id") for each in answer.json["items"]]
    assert client_ids == [issued[0]["id"], None, issued[1]["id"], None]
    for body in ({"tokens": ["x"] * 101}, {"tokens": list[str]()}, dict[str, list[str]]()):
        assert (await authority("POST", "/oauth2/introspect/batch", headers=headers, json=body)).status == 422


@pytest.mark.own_services
async def test_changed_secret_of_environment_replaces_previous_one(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    first, second = mint("pgs"), mint("pgs")
    for secret, gone in ((first, second), (second, first), (first, second)):
        async with run_token_authority(
            database, redis_url, tmp_path, service_credentials=f"polls:{secret}"
        ) as authority:
            assert [await introspect(authority, each, "polls") for each in (secret, gone)] == [False, 401]


@pytest.mark.own_services
async def test_secret_rotated_out_by_administrator_is_not_restored_by_environment(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path) as authority:
        rotated = await authority.manage("POST", "/v1/services/polls/rotate", {"overlap_s": 0})

    async with run_token_authority(database, redis_url, tmp_path) as again:
        assert await introspect(again, CLIENT_SECRET, "polls") == 401
        assert await introspect(again, rotated.json["secret"], "polls") is False
