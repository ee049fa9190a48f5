"""Changes to admin keys: the name changes freely, rights are only reduced, and one admin always remains."""

import asyncio
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import hold_rows
from tests.support.stack import Answer, Authority
from tests.support.token_fixtures import OTHER_SITE, Reader, add_site

pytestmark = pytest.mark.shared_services

PLAT = ["polls:read,vote:PLAT"]
OWN_SITE = "its own site"
"""Replaced by the id of the default site."""


async def create_key(authority: Authority, **fields: Any) -> Any:
    """Create an admin key with these fields, and return it with its secret."""
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "a key", **fields})
    assert answer.status == 201, answer.body
    return answer.json


async def change(authority: Authority, key_id: str, **fields: Any) -> Answer:
    return await authority.manage("PATCH", f"/v1/admin-keys/{key_id}", fields)


async def show(authority: Authority, key_id: str) -> Any:
    """Return the admin key as the list has it."""
    keys = (await authority.manage("GET", "/v1/admin-keys")).json["items"]
    return next(key for key in keys if key["id"] == key_id)


async def find_site(authority: Authority) -> str:
    return str((await authority.manage("GET", "/v1/sites")).json["items"][0]["id"])


def with_site(fields: dict[str, Any], site: str) -> dict[str, Any]:
    """Return the fields with the id of the default site."""
    sites = [site if each == OWN_SITE else each for each in fields.get("sites", ())]
    return {**fields, **({"sites": sites} if sites else {})}


async def list_records(authority: Authority, key_id: str) -> list[Any]:
    answer = await authority.manage("GET", f"/v1/audit?subject=admin_key:{key_id}&action=admin_key.change")
    return list(answer.json["items"])


async def test_change_name_returns_200_and_keeps_rights(authority: Authority) -> None:
    key = await create_key(authority, role="issuer", scopes=PLAT)
    del key["key"]

    answer = await change(authority, key["id"], name="Team payments")

    assert answer.status == 200
    assert answer.json == await show(authority, key["id"]) == {**key, "name": "Team payments"}


REDUCED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"role": "admin"}, {"role": "auditor"}),
    ({"role": "admin"}, {"role": "issuer", "scopes": PLAT}),
    ({"role": "admin"}, {"role": "issuer", "sites": [OWN_SITE]}),
    ({"role": "admin"}, {"role": "auditor", "sites": [OWN_SITE], "scopes": PLAT}),
    ({"role": "issuer", "scopes": PLAT}, {"role": "auditor"}),
    ({"role": "issuer", "scopes": PLAT}, {"role": "auditor", "scopes": ["polls:read:PLAT"]}),
    ({"role": "issuer", "scopes": PLAT}, {"scopes": ["polls:vote:PLAT/PLAT-1", "polls:read:PLAT"]}),
    ({"role": "issuer", "scopes": PLAT}, {"sites": [OWN_SITE]}),
    ({"role": "issuer", "sites": [OTHER_SITE, OWN_SITE]}, {"sites": [OWN_SITE]}),
    ({"role": "auditor"}, {"scopes": PLAT}),
]


async def test_change_that_reduces_rights_returns_200_with_record_of_changed_fields(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    await add_site(database)
    site = await find_site(authority)
    for before, patch in REDUCED:
        with subtests.test(before=before, patch=patch):
            old, new = with_site(before, site), with_site(patch, site)
            key = await create_key(authority, **old)

            answer = await change(authority, key["id"], **new)

            (record,) = await list_records(authority, key["id"])
            assert answer.status == 200, answer.body
            assert new.items() <= answer.json.items()
            assert (await show(authority, key["id"])) == answer.json
            assert (record["before"], record["after"]) == ({name: key[name] for name in new}, new)


WIDENED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"role": "issuer", "scopes": PLAT}, {"role": "admin"}, "/role"),
    ({"role": "issuer", "scopes": PLAT}, {"role": "admin", "scopes": None}, "/role"),
    ({"role": "auditor"}, {"role": "admin"}, "/role"),
    ({"role": "auditor", "scopes": PLAT}, {"role": "issuer"}, "/role"),
    ({"role": "issuer", "scopes": PLAT}, {"role": "auditor", "scopes": None}, "/scopes"),
    ({"role": "issuer", "scopes": PLAT}, {"scopes": ["polls:read,vote,create:PLAT"]}, "/scopes"),
    ({"role": "issuer", "scopes": PLAT}, {"scopes": [*PLAT, "polls:read:OPS"]}, "/scopes"),
    ({"role": "issuer", "scopes": PLAT, "sites": [OTHER_SITE]}, {"scopes": None}, "/scopes"),
    ({"role": "issuer", "scopes": PLAT, "sites": [OTHER_SITE]}, {"sites": None}, "/sites"),
    ({"role": "auditor", "sites": [OTHER_SITE]}, {"sites": [OTHER_SITE, "site_unknown"]}, "/sites/1"),
]


async def test_change_that_widens_rights_returns_422_that_names_the_field(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests
) -> None:
    await add_site(database)
    for before, patch, pointer in WIDENED:
        with subtests.test(before=before, patch=patch):
            key = await create_key(authority, **before)

            answer = await change(authority, key["id"], **patch)

            assert (answer.status, answer.json["type"]) == (422, "/docs/problems/widening")
            assert answer.json["errors"][0]["pointer"] == pointer
            assert (await show(authority, key["id"])).items() >= before.items()


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"role": "issuer"}, "/scopes"),
    ({"role": "issuer", "scopes": []}, "/scopes"),
    ({"role": "issuer", "scopes": ["polls:fly:*"]}, "/scopes/0"),
    ({"role": "issuer", "sites": []}, "/sites"),
    ({"role": "issuer", "sites": ["site_unknown"]}, "/sites/0"),
    ({"scopes": PLAT}, "/role"),
    ({"role": "boss"}, "/role"),
    ({"role": None}, "/role"),
    ({"name": ""}, "/name"),
    ({"hint": "x"}, "/hint"),
]


async def test_change_to_admin_key_that_could_not_be_created_returns_422(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    key = await create_key(authority, role="admin")
    for patch, pointer in INVALID:
        with subtests.test(patch=patch):
            answer = await change(authority, key["id"], **patch)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
            assert (await show(authority, key["id"]))["role"] == "admin"


async def test_repeated_change_returns_200_and_writes_no_record(authority: Authority) -> None:
    key = await create_key(authority, role="issuer", scopes=PLAT)

    answers = [await change(authority, key["id"], role="auditor", scopes=["polls:read:PLAT"]) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json
    assert len(await list_records(authority, key["id"])) == 1


async def test_reduced_rights_hold_from_the_next_request(authority: Authority) -> None:
    key = await create_key(authority, role="admin")
    reader = Reader(authority, key["key"])
    await authority.issue("polls:read:OPS", name="hidden")
    before = [(await reader.get("/v1/audit")).status, len(await reader.list_all())]

    await change(authority, key["id"], role="auditor", scopes=["polls:read:PLAT"])

    assert before == [200, 1]
    assert (await reader.get("/v1/audit")).status == 403
    assert await reader.list_all() == []
    assert (await reader.post("/v1/tokens", {"name": "x", "scopes": ["polls:read:PLAT"]})).status == 403


async def test_role_of_last_admin_changes_to_409_and_its_name_to_200(authority: Authority) -> None:
    await create_key(authority, role="auditor")
    revoked = await create_key(authority, role="admin")
    await authority.manage("DELETE", f"/v1/admin-keys/{revoked['id']}")
    own = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]

    answer = await change(authority, own, role="auditor")

    assert (answer.status, answer.json["type"]) == (409, "/docs/problems/last-administrator")
    assert (await change(authority, own, name="Ada")).status == 200
    assert (await show(authority, own))["role"] == "admin"


async def test_concurrent_role_changes_of_last_two_admins_return_409_once(
    authority: Authority, database: ClonedDatabase
) -> None:
    own = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    other = await create_key(authority, role="admin")
    await Reader(authority, other["key"]).get("/v1/admin-keys/own")

    async with hold_rows(database, "token_authority.admin_key", waiting=2):
        changes = asyncio.gather(*(change(authority, each, role="auditor") for each in (own, other["id"])))
    answers = await changes

    assert sorted(answer.status for answer in answers) == [200, 409]


async def test_change_of_unknown_or_revoked_admin_key_returns_404(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    revoked = (await create_key(authority, role="auditor"))["id"]
    await authority.manage("DELETE", f"/v1/admin-keys/{revoked}")
    for key_id in ["adm_unknown", "%00", revoked]:
        with subtests.test(key_id=key_id):
            answer = await change(authority, key_id, name="x")

            assert (answer.status, answer.json["type"]) == (404, "/docs/problems/unknown-admin-key")
