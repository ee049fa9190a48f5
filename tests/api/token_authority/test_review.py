"""A review of tokens: each kind of finding, what is none, and pages within the caller's limits."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest

from services.token_authority.domain.review import FINDING_KINDS
from tests.support.databases import ClonedDatabase
from tests.support.found import OTHER_SITE, Reader, add_site, end, make_past, reader
from tests.support.guards import FakeGuard
from tests.support.postgres import fetch
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

PATH = "/v1/tokens/review"
LONG = timedelta(days=100)
SHORT = timedelta(days=80)


@pytest.fixture
async def look(authority: Authority) -> Reader:
    """The administrator, looking."""
    return Reader(authority)


async def found(look: Reader, kind: str, **query: Any) -> list[str]:
    """The names of the tokens of a kind of finding."""
    return sorted(item["token"]["name"] for item in await look.all(PATH, kind=kind, **query))


async def aged(authority: Authority, database: ClonedDatabase, name: str, **past: Any) -> Any:
    """A token for one workspace that ends in two years, with a past."""
    made, used = past.pop("made", None), past.pop("used", None)
    issued = await authority.issue(
        *past.pop("scopes", ["polls:read:PLAT"]), name=name, **{"expires_in": 63_000_000} | past
    )
    await make_past(database, issued["id"], made=made, used=used)
    return issued


async def test_a_token_that_is_in_order_is_no_finding(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    await aged(authority, database, "fine", made=LONG, used=SHORT, owner="ada")
    await aged(authority, database, "new", owner="ada")

    assert await look.all(PATH) == []


async def test_unused_are_those_that_were_used_long_ago(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    await aged(authority, database, "long ago", made=2 * LONG, used=LONG)
    await aged(authority, database, "lately", made=2 * LONG, used=SHORT)
    await aged(authority, database, "never", made=2 * LONG)

    assert await found(look, "unused") == ["long ago"]
    assert await found(look, "unused", unused_days=70) == ["lately", "long ago"]
    assert await found(look, "unused", unused_days=110) == []


async def test_never_used_are_those_made_long_ago(authority: Authority, database: ClonedDatabase, look: Reader) -> None:
    await aged(authority, database, "old", made=LONG)
    await aged(authority, database, "new", made=SHORT)

    assert await found(look, "never_used") == ["old"]
    assert await found(look, "never_used", unused_days=70) == ["new", "old"]


async def test_never_expiring_are_those_without_an_end(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    await aged(authority, database, "for good", expires_in="never")
    await aged(authority, database, "a year", expires_in="365d")

    assert await found(look, "never_expires") == ["for good"]


async def test_reaching_any_are_those_with_a_scope_for_everywhere(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    await aged(authority, database, "vote", scopes=["polls:read:PLAT", "polls:vote:*"])
    await aged(authority, database, "all", scopes=["polls:*:*"])
    await aged(authority, database, "star", scopes=["polls:*:%2A"])

    (one, other) = await look.all(PATH, kind="reaches_any")

    assert {one["token"]["name"], other["token"]["name"]} == {"vote", "all"}
    assert {one["reason"], other["reason"]} == {
        "Its scope polls:vote:* covers every workspace.",
        "Its scope polls:*:* covers every workspace.",
    }


async def test_expiring_are_those_that_end_soon(authority: Authority, database: ClonedDatabase, look: Reader) -> None:
    await aged(authority, database, "soon", expires_in=6 * 86_400)
    await aged(authority, database, "later", expires_in=8 * 86_400)

    assert await found(look, "expiring") == ["soon"]
    assert await found(look, "expiring", expiring_days=9) == ["later", "soon"]


async def used_now(authority: Authority, token_id: str, hint: str) -> None:
    """A service says that it has let a secret of a token through."""
    secrets = (await authority.manage("GET", f"/v1/tokens/{token_id}")).json["secrets"]
    (secret_id,) = [secret["id"] for secret in secrets if secret["hint"] == hint]
    use = {"token_id": token_id, "secret_id": secret_id, "uses": 1, "refusals": 0, "last_used_ms_ago": 0}
    answer = await FakeGuard(authority).send({"applied": None, "usage": [use]})
    assert answer.status == 200, answer.body


async def test_a_replaced_secret_that_is_still_used_is_a_finding(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    used, unused, old_use = [await aged(authority, database, name) for name in ("used", "unused", "used before")]
    await used_now(authority, old_use["id"], old_use["hint"])
    for token in (used, unused, old_use):
        await authority.manage("POST", f"/v1/tokens/{token['id']}/rotate", {"overlap_s": 3600})
    await used_now(authority, used["id"], used["hint"])

    (finding,) = await look.all(PATH, kind="rotated_secret_in_use")

    assert finding["token"]["name"] == "used"
    assert finding["reason"].startswith("A replaced secret is still used, and ends on ")


async def test_a_secret_presented_after_its_end_is_a_finding_for_a_month(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    issued = await aged(authority, database, "rotated")
    await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})
    before = await look.all(PATH, kind="rotated_secret_in_use")
    await authority.introspect(issued["token"])

    (finding,) = await look.all(PATH, kind="rotated_secret_in_use")
    assert before == []
    assert "after its end" in finding["reason"]
    past = "UPDATE token_authority.secret SET last_late_use_at = now() - interval '31 days' WHERE holder_id = $1"
    await fetch(database.admin_url, past, issued["id"])
    assert await look.all(PATH, kind="rotated_secret_in_use") == []


async def test_what_is_left_of_an_owner_who_uses_nothing_else_is_a_finding(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    old = {"made": 2 * LONG}
    await aged(authority, database, "gone, in use", owner="gone", used=timedelta(days=1), **old)
    ended = await aged(authority, database, "gone, revoked", owner="gone", used=LONG, **old)
    await authority.revoke(ended["id"])
    for number in range(2):
        await aged(authority, database, f"left {number}", owner="left", used=LONG, **old)
    await aged(authority, database, "here, unused", owner="here", **old)
    await aged(authority, database, "here, in use", owner="here", used=SHORT, **old)
    await aged(authority, database, "here, also in use", owner="here", used=SHORT, **old)
    await aged(authority, database, "the only one", owner="alone", used=LONG, **old)
    for number in range(2):
        await aged(authority, database, f"of nobody {number}", used=LONG, **old)
        await aged(authority, database, f"new {number}", owner="new")

    assert await found(look, "owner_inactive") == ["gone, in use", "left 0", "left 1"]


async def test_a_token_given_to_another_owner_counts_as_theirs(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    tokens = [await aged(authority, database, f"left {n}", owner="left", made=LONG, used=LONG) for n in range(2)]
    active = await aged(authority, database, "active", owner="here", made=LONG, used=SHORT)
    before = await found(look, "owner_inactive")

    await authority.manage("PATCH", f"/v1/tokens/{tokens[0]['id']}", {"owner": None})
    alone = await found(look, "owner_inactive")
    await authority.manage("PATCH", f"/v1/tokens/{tokens[0]['id']}", {"owner": "here"})

    assert (before, alone) == (["left 0", "left 1"], [])
    assert await found(look, "owner_inactive") == ["active"]
    await authority.manage("PATCH", f"/v1/tokens/{active['id']}", {"owner": "left"})
    assert await found(look, "owner_inactive") == ["active"]


@pytest.fixture
async def findings(authority: Authority, database: ClonedDatabase) -> None:
    """Tokens that are findings of every kind, and dead ones that were."""
    await add_site(database)
    for number in range(8):
        issued = await authority.issue(
            *(["polls:*:*"] if number % 2 else ["polls:read:PLAT"]),
            name=f"{['alive', 'disabled', 'expired', 'revoked'][max(0, number - 4)]} {number}",
            owner="left",
            site=OTHER_SITE if number in (1, 2) else None,
            expires_in=3600 if number in (2, 3) else "never",
        )
        await make_past(database, issued["id"], made=2 * LONG, used=LONG if number % 3 else None)
        await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})
        await authority.introspect(issued["token"])
        if number == 5:
            await authority.manage("POST", f"/v1/tokens/{issued['id']}/disable", {})
        if number == 6:
            await end(database, issued["id"])
        if number == 7:
            await authority.revoke(issued["id"])


@pytest.mark.usefixtures("findings")
async def test_findings_come_by_kind_and_then_by_token_in_pages_of_any_size(look: Reader) -> None:
    whole = await look.all(PATH, limit=200)
    places = [(FINDING_KINDS.index(item["kind"]), item["token"]["id"]) for item in whole]

    assert {item["kind"] for item in whole} == set(FINDING_KINDS)
    assert {item["token"]["status"] for item in whole} == {"active"}
    assert places == sorted(set(places))
    for limit in (1, 2, 3, 5, 8, len(whole)):
        assert await look.all(PATH, limit=limit) == whole
    for kind in FINDING_KINDS:
        assert await look.all(PATH, limit=2, kind=kind) == [item for item in whole if item["kind"] == kind]


@pytest.mark.usefixtures("findings")
async def test_each_finding_says_in_sentences_why_it_is_one_and_what_to_do(look: Reader) -> None:
    for item in await look.all(PATH):
        for text in (item["reason"], item["remedy"]):
            assert text[0].isupper()
            assert text.endswith(".")
            assert "None" not in text


@pytest.mark.usefixtures("findings")
@pytest.mark.parametrize("limits", [{"sites": [OTHER_SITE]}, {"scopes": ["polls:read:PLAT", "polls:vote:*"]}])
async def test_an_issuer_is_told_of_what_is_within_its_limits_alone(
    authority: Authority, look: Reader, limits: dict[str, list[str]]
) -> None:
    issuer = await reader(authority, role="issuer", **limits)

    told, seen = await issuer.all(PATH, limit=2), {token["id"] for token in await issuer.all()}

    assert told == [item for item in await look.all(PATH) if item["token"]["id"] in seen]
    assert {item["kind"] for item in told} >= {"unused", "expiring", "owner_inactive"}


async def test_an_issuer_learns_nothing_of_the_use_of_tokens_beyond_its_limits(
    authority: Authority, database: ClonedDatabase, look: Reader
) -> None:
    for number in range(2):
        await aged(authority, database, f"seen {number}", owner="ada", made=LONG, used=LONG)
        await aged(
            authority, database, f"unseen {number}", owner="ada", made=LONG, scopes=["polls:read:OPS"], used=SHORT
        )
    issuer = await reader(authority, role="issuer", scopes=["polls:read:PLAT"])

    assert await found(look, "owner_inactive") == []
    assert await found(issuer, "owner_inactive") == ["seen 0", "seen 1"]


WRONG: list[tuple[str, Any]] = [
    *(("unused_days", 0), ("unused_days", 3651), ("expiring_days", 0), ("expiring_days", "x"), ("limit", 0)),
    *(("limit", 1001), ("kind", "odd"), ("colour", "red"), ("cursor", ""), ("cursor", "x"), ("cursor", "AAAA")),
    ("cursor", urlsafe_b64encode(b'["odd","tok_x"]').decode()),
    ("cursor", urlsafe_b64encode(b'["unused","\\u0000"]').decode()),
    ("cursor", urlsafe_b64encode(b'["unused",1]').decode()),
    ("cursor", urlsafe_b64encode(b'["name",false,"a","tok_x"]').decode()),
]


async def test_what_is_asked_wrongly_is_400(look: Reader, subtests: pytest.Subtests) -> None:
    for name, value in WRONG:
        with subtests.test(**{name: value}):
            answer = await look.get(PATH, **{name: value})

            assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, name)


async def test_a_cursor_of_another_kind_is_400(look: Reader) -> None:
    cursor = urlsafe_b64encode(b'["unused","tok_x"]').decode()

    assert (await look.get(PATH, kind="expiring", cursor=cursor)).status == 400
    assert (await look.get(PATH, kind="unused", cursor=cursor)).status == 200
