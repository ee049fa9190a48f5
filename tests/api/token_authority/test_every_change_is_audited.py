"""Every route that changes something appends a documented number of audit records to each success."""

import asyncio
from typing import Any, NamedTuple

import pytest

from services.token_authority.routes import ROUTES
from shared.contract.token import SECRET_PATTERN
from tests.support.stack import Answer, Authority

pytestmark = pytest.mark.shared_services

NO_CHANGE = {
    ("POST", "/v1/tokens/find"): "reads",
    ("POST", "/v1/audit/verify"): "reads",
    ("POST", "/oauth2/introspect"): "reads, and counts the use",
    ("POST", "/oauth2/introspect/batch"): "reads, and counts the use",
    ("POST", "/v1/guards/{guard_id}/sync"): "renews a lease, and counts the use",
    ("POST", "/v1/guards/{guard_id}/changes"): "stores a report; what finishing makes of it has a record",
    ("DELETE", "/v1/guards/{guard_id}"): "releases a lease",
    ("POST", "/v1/sign-in-links"): "creates a link; the session that it starts has a record",
}
"""Routes with other methods than GET that change nothing that an administrator manages."""


class Holders(NamedTuple):
    """The token, the admin key and the spare tokens that requests change."""

    token: Any
    spare_tokens: list[Any]
    key_id: str


class Change(NamedTuple):
    """A request, and the actions of the records that it appends. Braces are replaced by the holders' fields."""

    route: tuple[str, str]
    body: Any
    actions: list[str]


CHANGES = [
    Change(("POST", "/v1/tokens"), {"name": "n", "scopes": ["polls:read:PLAT"]}, ["token.issue"]),
    Change(("PATCH", "/v1/tokens/{id}"), {"name": "m"}, ["token.change"]),
    Change(("POST", "/v1/tokens/{id}/keep"), {"kind": "never_expires"}, ["token.keep"]),
    Change(("POST", "/v1/tokens/review/complete"), None, ["review.complete"]),
    Change(("POST", "/v1/tokens/{id}/disable"), {}, ["token.disable"]),
    Change(("POST", "/v1/tokens/{id}/enable"), None, ["token.enable"]),
    Change(("POST", "/v1/tokens/{id}/rotate"), {"overlap_s": 0}, ["token.rotate"]),
    Change(("POST", "/v1/tokens/{id}/revoke"), {"reason": "unneeded"}, ["token.revoke"]),
    Change(("POST", "/v1/tokens/revoke"), {"reason": "policy", "owner": "bulk"}, ["token.revoke"] * 2),
    Change(("POST", "/v1/tokens/leaked"), None, ["token.revoke"]),
    Change(("POST", "/oauth2/revoke"), None, ["token.revoke"]),
    Change(("POST", "/v1/token/rotate"), {}, ["token.rotate"]),
    Change(("POST", "/v1/admin-keys"), {"name": "n", "role": "auditor"}, ["admin_key.make"]),
    Change(("PATCH", "/v1/admin-keys/{key_id}"), {"name": "m"}, ["admin_key.change"]),
    Change(("POST", "/v1/admin-keys/{key_id}/rotate"), {}, ["admin_key.rotate"]),
    Change(("DELETE", "/v1/admin-keys/{key_id}"), None, ["admin_key.revoke"]),
    Change(("POST", "/v1/services"), {"client_id": "t"}, ["service.make"]),
    Change(("PATCH", "/v1/services/{client_id}"), {"name": "n"}, ["service.change"]),
    Change(("POST", "/v1/services/{client_id}/rotate"), {}, ["service.rotate"]),
    Change(("POST", "/v1/services/{client_id}/disable"), None, ["service.disable"]),
    Change(("POST", "/v1/services/{client_id}/enable"), None, ["service.enable"]),
    Change(("POST", "/v1/keys/rotate"), None, ["signing_key.rotate"]),
]


async def send(authority: Authority, change: Change, holders: Holders) -> Answer:
    method, template = change.route
    path = template.format(id=holders.token["id"], key_id=holders.key_id, client_id="s")
    spare = holders.spare_tokens.pop()
    if template == "/v1/tokens/leaked":
        return await authority(method, path, json={"tokens": [spare["token"]]})
    if template == "/oauth2/revoke":
        return await authority(method, path, data={"token": spare["token"]})
    if template == "/v1/token/rotate":
        return await authority(method, path, headers={"Authorization": f"Bearer {spare['token']}"}, json=change.body)
    return await authority.manage(method, path, change.body)


async def list_records(authority: Authority, after: int = 0) -> list[Any]:
    return list((await authority.manage("GET", f"/v1/audit?limit=1000&after={after}")).json["items"])


async def create_holders(authority: Authority) -> Holders:
    token = await authority.issue()
    spare_tokens = [await authority.issue(self_rotation=True) for _ in CHANGES]
    for _ in range(2):
        await authority.issue(owner="bulk")
    key = (await authority.manage("POST", "/v1/admin-keys", {"name": "k", "role": "auditor"})).json
    await authority.manage("POST", "/v1/services", {"client_id": "s"})
    return Holders(token, spare_tokens, key["id"])


def test_every_route_that_changes_something_is_listed() -> None:
    changing = {(route.method, route.path) for route in ROUTES if route.method not in ("GET", "HEAD")}

    assert changing == {change.route for change in CHANGES} | NO_CHANGE.keys()


async def test_every_success_appends_its_records(authority: Authority, subtests: pytest.Subtests) -> None:
    holders = await create_holders(authority)
    for change in CHANGES:
        with subtests.test(route=change.route):
            last = (await list_records(authority))[-1]["seq"]

            answer = await send(authority, change, holders)

            added = await list_records(authority, last)
            assert answer.status in (200, 201, 204)
            assert [record["action"] for record in added] == change.actions
            assert not SECRET_PATTERN.search(str(added))


async def test_repeated_success_that_changes_nothing_appends_no_record(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    holders = await create_holders(authority)
    for change in CHANGES:
        _, path = change.route
        if path.endswith(("disable", "enable", "revoke", "keys/rotate")) and path != "/oauth2/revoke":
            with subtests.test(route=change.route):
                await send(authority, change, holders)
                before = len(await list_records(authority))

                again = await send(authority, change, holders)

                assert again.status == 200
                assert len(await list_records(authority)) == before


async def test_record_of_rotation_says_how_secrets_are_replaced(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    holders = await create_holders(authority)
    for path in (f"/v1/tokens/{holders.token['id']}", f"/v1/admin-keys/{holders.key_id}", "/v1/services/s"):
        with subtests.test(path=path):
            await authority.manage("POST", f"{path}/rotate", {"overlap_s": 60, "end_on_use": True})

            after = (await list_records(authority))[-1]["after"]
            assert after["secret"].startswith("sec_")
            assert (after["overlap_s"], after["end_on_use"]) == (60, True)
            assert "…" in after["hint"]


async def test_rotations_leave_a_record_each_whatever_the_hints(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await authority.issue()
    monkeypatch.setattr("services.token_authority.domain.secret.hint", lambda _: token["hint"])

    answer = await authority.manage("POST", f"/v1/tokens/{token['id']}/rotate", {})

    assert answer.json["hint"] == token["hint"]
    assert (await list_records(authority))[-1]["action"] == "token.rotate"


async def test_creation_of_site_has_a_record(authority: Authority) -> None:
    (site,) = (await authority.manage("GET", "/v1/sites")).json["items"]

    first = (await list_records(authority))[0]

    assert (first["action"], first["subject"], first["actor"]) == ("site.make", f"site:{site['id']}", "system")
    assert first["after"]["name"] == site["name"]


async def test_end_of_old_secret_by_first_use_names_the_secrets(authority: Authority) -> None:
    token = await authority.issue()
    rotated = (await authority.manage("POST", f"/v1/tokens/{token['id']}/rotate", {"end_on_use": True})).json
    last = (await list_records(authority))[-1]

    await asyncio.gather(*(authority.introspect(rotated["token"]) for _ in range(3)))

    added = await list_records(authority, last["seq"])
    (record,) = [each for each in added if each["subject"] == f"token:{token['id']}"]
    assert (record["action"], record["after"]["used"]) == ("token.end_old_secret", last["after"]["secret"])
    assert len(record["after"]["ended"]) == 1


async def test_introspection_appends_no_record(authority: Authority) -> None:
    token = await authority.issue()
    before = len(await list_records(authority))

    await authority.introspect(token["token"])

    assert len(await list_records(authority)) == before
