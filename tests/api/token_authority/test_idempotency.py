"""`Idempotency-Key` on every route that creates a secret: a repetition creates no second one."""

import asyncio
from typing import Any, NamedTuple

import pytest

from tests.support.stack import Answer, Authority, basic_auth

pytestmark = pytest.mark.shared_services


class Case(NamedTuple):
    """A route that creates a secret: its path, a body and another one, and the field with the secret."""

    path: str
    body: dict[str, Any]
    other_body: dict[str, Any]
    field: str
    status: int


TOKEN = {"name": "t", "scopes": ["polls:read:PLAT"]}
CREATIONS = [
    Case("/v1/tokens", TOKEN, {**TOKEN, "name": "u"}, "token", 201),
    Case("/v1/admin-keys", {"name": "a", "role": "auditor"}, {"name": "b", "role": "auditor"}, "key", 201),
    Case("/v1/services", {"client_id": "s1"}, {"client_id": "s2"}, "secret", 201),
]


async def send(authority: Authority, path: str, body: Any, key: str, admin_key: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {admin_key or authority.admin_key}", "Idempotency-Key": key}
    return await authority("POST", path, headers=headers, json=body)


async def list_cases(authority: Authority) -> list[Case]:
    """Return every route, with holders to rotate."""
    token = await authority.issue()
    key = (await authority.manage("POST", "/v1/admin-keys", {"name": "k", "role": "auditor"})).json
    await authority.manage("POST", "/v1/services", {"client_id": "rotated"})
    body, other_body = {"overlap_s": 60}, {"overlap_s": 61}
    return [
        *CREATIONS,
        Case(f"/v1/tokens/{token['id']}/rotate", body, other_body, "token", 200),
        Case(f"/v1/admin-keys/{key['id']}/rotate", body, other_body, "key", 200),
        Case("/v1/services/rotated/rotate", body, other_body, "secret", 200),
    ]


async def is_accepted(authority: Authority, case: Case, created: dict[str, Any]) -> bool:
    """Return whether the secret in a response authenticates."""
    secret = created[case.field]
    if case.field == "token":
        return bool((await authority.introspect(secret)).json["active"])
    if case.field == "key":
        headers = {"Authorization": f"Bearer {secret}"}
        return (await authority("GET", "/v1/admin-keys/own", headers=headers)).status == 200
    headers = basic_auth(created["client_id"], secret)
    return (await authority("POST", "/oauth2/introspect", data={"token": "x"}, headers=headers)).status == 200


async def count_holders(authority: Authority) -> int:
    """Return how many tokens, admin keys and services there are."""
    pages = [await authority.manage("GET", f"/v1/{kind}") for kind in ("tokens", "admin-keys", "services")]
    return sum(len(page.json["items"]) for page in pages)


async def test_repeated_request_replaces_lost_secret_and_creates_nothing(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for case in await list_cases(authority):
        with subtests.test(path=case.path):
            lost = await send(authority, case.path, case.body, "k")
            number = await count_holders(authority)

            again = await send(authority, case.path, case.body, "k")

            assert (lost.status, again.status) == (case.status, case.status)
            assert again.json[case.field] != lost.json[case.field]
            assert again.headers.get("Location") == lost.headers.get("Location")
            assert await count_holders(authority) == number
            assert [await is_accepted(authority, case, each.json) for each in (lost, again)] == [False, True]


async def test_repetition_with_other_body_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for case in await list_cases(authority):
        with subtests.test(path=case.path):
            first = await send(authority, case.path, case.body, "k")

            other = await send(authority, case.path, case.other_body, "k")

            assert (other.status, other.json["type"]) == (422, "/docs/problems/idempotency-key-reused")
            assert await is_accepted(authority, case, first.json)


async def test_repetition_after_use_of_secret_returns_409(authority: Authority, subtests: pytest.Subtests) -> None:
    for case in await list_cases(authority):
        with subtests.test(path=case.path):
            first = await send(authority, case.path, case.body, "k")
            assert await is_accepted(authority, case, first.json)

            again = await send(authority, case.path, case.body, "k")

            assert (again.status, again.json["type"]) == (409, "/docs/problems/rotation-in-use")
            assert await is_accepted(authority, case, first.json)


async def test_malformed_key_returns_400_and_creates_nothing(authority: Authority, subtests: pytest.Subtests) -> None:
    for case in await list_cases(authority):
        number = await count_holders(authority)
        for key in ("a b", "", '"', "x" * 256):
            with subtests.test(path=case.path, key=key):
                answer = await send(authority, case.path, case.body, key)

                assert answer.status == 400
                assert await count_holders(authority) == number


async def test_concurrent_repetitions_create_one_secret_that_works(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for case in await list_cases(authority):
        with subtests.test(path=case.path):
            number = await count_holders(authority) + (case.status == 201)

            answers = await asyncio.gather(*(send(authority, case.path, case.body, "k") for _ in range(5)))

            assert {answer.status for answer in answers} == {case.status}
            assert await count_holders(authority) == number
            assert sum([await is_accepted(authority, case, answer.json) for answer in answers]) == 1


async def test_key_of_other_caller_or_route_is_another_key(authority: Authority) -> None:
    other = (await authority.manage("POST", "/v1/admin-keys", {"name": "b", "role": "admin"})).json["key"]
    token = await authority.issue()

    created = [
        await send(authority, "/v1/tokens", TOKEN, "k"),
        await send(authority, "/v1/tokens", TOKEN, "k", other),
        await send(authority, f"/v1/tokens/{token['id']}/rotate", {}, "k"),
        await send(authority, "/v1/admin-keys", {"name": "c", "role": "auditor"}, "k"),
    ]

    assert [answer.status for answer in created] == [201, 201, 200, 201]
    assert created[0].json["id"] != created[1].json["id"]


async def test_repeated_creation_of_service_with_public_key_returns_201(authority: Authority) -> None:
    key = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n"
    )
    body = {"client_id": "signer", "public_key": key}

    answers = [await send(authority, "/v1/services", body, "k") for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json


async def test_repeated_creation_of_revoked_holder_returns_409(authority: Authority) -> None:
    token = (await send(authority, "/v1/tokens", TOKEN, "k")).json
    key = (await send(authority, "/v1/admin-keys", CREATIONS[1].body, "k")).json
    await authority.revoke(token["id"])
    await authority.manage("DELETE", f"/v1/admin-keys/{key['id']}")

    again = [await send(authority, case.path, case.body, "k") for case in CREATIONS[:2]]

    assert [answer.status for answer in again] == [409, 409]
    assert "revoked" in again[0].json["detail"]


async def test_repetition_with_body_of_equal_values_returns_201(authority: Authority) -> None:
    first = await send(authority, "/v1/tokens", {"name": "t", "scopes": ["polls:read:PLAT"], "allowed_ips": []}, "k")

    again = await send(authority, "/v1/tokens", {"scopes": ["polls:read:PLAT"], "owner": None, "name": "t"}, "k")

    assert (first.status, again.status, again.json["id"]) == (201, 201, first.json["id"])
