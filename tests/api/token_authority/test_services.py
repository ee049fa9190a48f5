"""Services that introspect: made, changed, rotated, disabled, and kept to the sites that they see."""

from pathlib import Path
from typing import Any

import pytest

from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, Authority, basic, token_authority

pytestmark = pytest.mark.shared_services


async def make(authority: Authority, client_id: str = "reports", **fields: Any) -> Any:
    answer = await authority.manage("POST", "/v1/services", {"client_id": client_id, **fields})
    assert answer.status == 201, answer.body
    return answer.json


async def asks(authority: Authority, secret: str, client_id: str = "reports", token: str = "x") -> Any:
    answer = await authority.introspect(token, client_id, secret)
    return answer.json.get("active", answer.status)


async def test_a_service_may_introspect_by_the_secret_that_it_is_made_with(authority: Authority) -> None:
    made, token = await make(authority, name="Weekly reports"), (await authority.issue())["token"]

    secret = made.pop("secret")

    shown = (await authority.manage("GET", "/v1/services/reports")).json
    assert await asks(authority, secret, token=token) is True
    assert made.items() <= shown.items()
    assert secret not in str(shown)
    assert [each["client_id"] for each in (await authority.manage("GET", "/v1/services")).json["items"]] == [
        "polls",
        "reports",
    ]


async def test_two_secrets_work_while_a_service_is_rotated(authority: Authority) -> None:
    old = (await make(authority))["secret"]

    new = (await authority.manage("POST", "/v1/services/reports/rotate", {})).json["secret"]

    assert [await asks(authority, secret) for secret in (old, new)] == [False, False]
    newest = (await authority.manage("POST", "/v1/services/reports/rotate", {"overlap_s": 0})).json["secret"]
    assert [await asks(authority, secret) for secret in (old, new, newest)] == [401, 401, False]


async def test_a_disabled_service_may_not_ask_until_it_is_enabled(authority: Authority) -> None:
    secret = (await make(authority))["secret"]

    disabled = (await authority.manage("POST", "/v1/services/reports/disable")).json
    refused = await asks(authority, secret)
    enabled = (await authority.manage("POST", "/v1/services/reports/enable")).json

    assert refused == 401
    assert (disabled["disabled_at"] is None, disabled["disabled_by"][:10]) == (False, "admin_key:")
    assert (enabled["disabled_at"], enabled["disabled_by"]) == (None, None)
    assert await asks(authority, secret) is False


async def test_a_token_of_another_site_does_not_exist_for_a_service(
    authority: Authority, database: ClonedDatabase
) -> None:
    await fetch(
        database.admin_url,
        "INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ('site_b', 'B', $1, now())",
        "b" * 27,
    )
    here, there = await authority.issue(), await authority.issue(site="site_b")
    secret = (await make(authority, sites=["site_b"]))["secret"]

    seen = [await asks(authority, secret, token=token["token"]) for token in (here, there)]
    await authority.manage("PATCH", "/v1/services/reports", {"sites": None})

    assert seen == [False, True]
    assert await asks(authority, secret, token=here["token"]) is True
    assert (await authority.manage("GET", f"/v1/tokens/{here['id']}")).json["refusals"] == 0


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


async def test_a_service_that_breaks_a_rule_is_not_made(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, pointer in INVALID:
        with subtests.test(body=body, pointer=pointer):
            answer = await authority.manage("POST", "/v1/services", {"client_id": "x", **body})

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)


async def test_a_client_id_that_is_taken_is_409(authority: Authority) -> None:
    answer = await authority.manage("POST", "/v1/services", {"client_id": "polls"})

    assert (answer.status, answer.json["type"]) == (409, "/docs/problems/name-taken")
    assert await asks(authority, CLIENT_SECRET, "polls") is False


async def test_a_service_that_is_not_there_is_404(authority: Authority, subtests: pytest.Subtests) -> None:
    for client_id in ["unknown", "%00", "..%2Fpolls"]:
        with subtests.test(client_id=client_id):
            path = f"/v1/services/{client_id}"

            assert (await authority.manage("GET", path)).status == 404
            assert (await authority.manage("PATCH", path, {"name": "x"})).status == 404
            assert (await authority.manage("POST", f"{path}/disable")).status == 404
            assert (await authority.manage("POST", f"{path}/rotate", {})).status == 404


async def test_a_service_cannot_tell_of_uses_of_tokens_that_it_does_not_see(
    authority: Authority, database: ClonedDatabase
) -> None:
    await fetch(
        database.admin_url,
        "INSERT INTO token_authority.site (id, name, endpoint_id, created_at) VALUES ('site_b', 'B', $1, now())",
        "b" * 27,
    )
    here = await authority.issue()
    secret = (await make(authority, sites=["site_b"]))["secret"]
    use = {"token_id": here["id"], "secret_id": "x", "uses": 7, "refusals": 1, "last_used_ms_ago": 0}

    answer = await authority(
        *("POST", "/v1/guards/0123456789abcdef/sync"),
        headers=basic("reports", secret),
        json={"applied": None, "usage": [use]},
    )

    shown = (await authority.manage("GET", f"/v1/tokens/{here['id']}")).json
    assert (answer.status, shown["uses"], shown["refusals"], shown["last_used_at"]) == (200, 0, 0, None)


async def test_a_service_is_never_left_without_any_site(authority: Authority) -> None:
    await make(authority)

    answer = await authority.manage("PATCH", "/v1/services/reports", {"sites": []})

    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/sites")


async def test_up_to_a_hundred_tokens_are_introspected_at_once_in_order(authority: Authority) -> None:
    issued = [await authority.issue(name=f"{number}") for number in range(2)]
    tokens = [issued[0]["token"], mint("pgt"), issued[1]["token"], "nonsense"]
    headers = basic("polls", CLIENT_SECRET)

    answer = await authority("POST", "/oauth2/introspect/batch", headers=headers, json={"tokens": tokens})

    told = [each.get("client_id") for each in answer.json["items"]]
    assert told == [issued[0]["id"], None, issued[1]["id"], None]
    for body in ({"tokens": ["x"] * 101}, {"tokens": list[str]()}, dict[str, list[str]]()):
        assert (await authority("POST", "/oauth2/introspect/batch", headers=headers, json=body)).status == 422


@pytest.mark.own_services
async def test_the_secret_of_the_environment_takes_the_place_of_the_one_before(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    first, second = mint("pgs"), mint("pgs")
    for secret, gone in ((first, second), (second, first), (first, second)):
        async with token_authority(database, redis_url, tmp_path, service_credentials=f"polls:{secret}") as authority:
            assert [await asks(authority, each, "polls") for each in (secret, gone)] == [False, 401]


@pytest.mark.own_services
async def test_a_secret_that_an_administrator_has_rotated_out_does_not_come_back_with_the_environment(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with token_authority(database, redis_url, tmp_path) as authority:
        rotated = await authority.manage("POST", "/v1/services/polls/rotate", {"overlap_s": 0})

    async with token_authority(database, redis_url, tmp_path) as again:
        assert await asks(again, CLIENT_SECRET, "polls") == 401
        assert await asks(again, rotated.json["secret"], "polls") is False
