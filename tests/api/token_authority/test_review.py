"""The review of tokens: each kind of finding, and pages within the limits of the admin key."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest

from services.token_authority.domain.review import FINDING_KINDS
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import fetch
from tests.support.stack import Authority
from tests.support.token_fixtures import OTHER_SITE, Reader, add_site, backdate, create_reader, expire_token

pytestmark = pytest.mark.shared_services

PATH = "/v1/tokens/review"
LONG = timedelta(days=100)
SHORT = timedelta(days=80)


@pytest.fixture
async def admin_reader(authority: Authority) -> Reader:
    """Return a client that reads as an administrator."""
    return Reader(authority)


async def find_names(admin_reader: Reader, kind: str, **query: Any) -> list[str]:
    """Return the names of the tokens with this kind of finding."""
    return sorted(item["token"]["name"] for item in await admin_reader.list_all(PATH, kind=kind, **query))


async def create_aged_token(authority: Authority, database: ClonedDatabase, name: str, **past: Any) -> Any:
    """Create a token for one workspace that expires in two years, with the given times in the past."""
    created, used = past.pop("created", None), past.pop("used", None)
    issued = await authority.issue(
        *past.pop("scopes", ["polls:read:PLAT"]), name=name, **{"expires_in": 63_000_000} | past
    )
    await backdate(database, issued["id"], created=created, used=used)
    return issued


async def test_token_without_issues_is_no_finding(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await create_aged_token(authority, database, "fine", created=LONG, used=SHORT, owner="ada")
    await create_aged_token(authority, database, "new", owner="ada")

    assert await admin_reader.list_all(PATH) == []


async def test_unused_finds_tokens_last_used_long_ago(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await create_aged_token(authority, database, "long ago", created=2 * LONG, used=LONG)
    await create_aged_token(authority, database, "lately", created=2 * LONG, used=SHORT)
    await create_aged_token(authority, database, "never", created=2 * LONG)

    assert await find_names(admin_reader, "unused") == ["long ago"]
    assert await find_names(admin_reader, "unused", unused_days=70) == ["lately", "long ago"]
    assert await find_names(admin_reader, "unused", unused_days=110) == []


async def test_never_used_finds_tokens_created_long_ago(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await create_aged_token(authority, database, "old", created=LONG)
    await create_aged_token(authority, database, "new", created=SHORT)

    assert await find_names(admin_reader, "never_used") == ["old"]
    assert await find_names(admin_reader, "never_used", unused_days=70) == ["new", "old"]


async def test_never_expires_finds_tokens_without_expiry(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await create_aged_token(authority, database, "permanent", expires_in="never")
    await create_aged_token(authority, database, "a year", expires_in="365d")

    assert await find_names(admin_reader, "never_expires") == ["permanent"]


async def test_reaches_any_finds_tokens_with_scope_for_every_workspace(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await create_aged_token(authority, database, "vote", scopes=["polls:read:PLAT", "polls:vote:*"])
    await create_aged_token(authority, database, "all", scopes=["polls:*:*"])
    await create_aged_token(authority, database, "star", scopes=["polls:*:%2A"])

    (one, other) = await admin_reader.list_all(PATH, kind="reaches_any")

    assert {one["token"]["name"], other["token"]["name"]} == {"vote", "all"}
    assert {one["reason"], other["reason"]} == {
        "Its scope polls:vote:* covers every workspace.",
        "Its scope polls:*:* covers every workspace.",
    }


async def test_expiring_finds_tokens_that_expire_soon(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await create_aged_token(authority, database, "soon", expires_in=6 * 86_400)
    await create_aged_token(authority, database, "later", expires_in=8 * 86_400)

    assert await find_names(admin_reader, "expiring") == ["soon"]
    assert await find_names(admin_reader, "expiring", expiring_days=9) == ["later", "soon"]


async def report_use(authority: Authority, token_id: str, hint: str) -> None:
    """Report as a service that a secret of a token was used."""
    secrets = (await authority.manage("GET", f"/v1/tokens/{token_id}")).json["secrets"]
    (secret_id,) = [secret["id"] for secret in secrets if secret["hint"] == hint]
    use = {"token_id": token_id, "secret_id": secret_id, "uses": 1, "refusals": 0, "last_used_ms_ago": 0}
    answer = await FakeGuard(authority).send({"applied": None, "usage": [use]})
    assert answer.status == 200, answer.body


async def test_replaced_secret_still_in_use_is_finding(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    used, unused, old_use = [
        await create_aged_token(authority, database, name) for name in ("used", "unused", "used before")
    ]
    await report_use(authority, old_use["id"], old_use["hint"])
    for token in (used, unused, old_use):
        await authority.manage("POST", f"/v1/tokens/{token['id']}/rotate", {"overlap_s": 3600})
    await report_use(authority, used["id"], used["hint"])

    (finding,) = await admin_reader.list_all(PATH, kind="rotated_secret_in_use")

    assert finding["token"]["name"] == "used"
    assert finding["reason"].startswith("A replaced secret is still used, and ends on ")


async def test_secret_presented_after_its_end_is_finding_for_a_month(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    issued = await create_aged_token(authority, database, "rotated")
    await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})
    before = await admin_reader.list_all(PATH, kind="rotated_secret_in_use")
    await authority.introspect(issued["token"])

    (finding,) = await admin_reader.list_all(PATH, kind="rotated_secret_in_use")
    assert before == []
    assert "after its end" in finding["reason"]
    past = "UPDATE token_authority.secret SET last_late_use_at = now() - interval '31 days' WHERE holder_id = $1"
    await fetch(database.admin_url, past, issued["id"])
    assert await admin_reader.list_all(PATH, kind="rotated_secret_in_use") == []


async def test_owner_inactive_finds_remaining_tokens_of_inactive_owner(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    old = {"created": 2 * LONG}
    await create_aged_token(authority, database, "gone, in use", owner="gone", used=timedelta(days=1), **old)
    ended = await create_aged_token(authority, database, "gone, revoked", owner="gone", used=LONG, **old)
    await authority.revoke(ended["id"])
    for number in range(2):
        await create_aged_token(authority, database, f"left {number}", owner="left", used=LONG, **old)
    await create_aged_token(authority, database, "here, unused", owner="here", **old)
    await create_aged_token(authority, database, "here, in use", owner="here", used=SHORT, **old)
    await create_aged_token(authority, database, "here, also in use", owner="here", used=SHORT, **old)
    await create_aged_token(authority, database, "the only one", owner="alone", used=LONG, **old)
    for number in range(2):
        await create_aged_token(authority, database, f"without owner {number}", used=LONG, **old)
        await create_aged_token(authority, database, f"new {number}", owner="new")

    assert await find_names(admin_reader, "owner_inactive") == ["gone, in use", "left 0", "left 1"]


async def test_token_with_changed_owner_counts_for_new_owner(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    tokens = [
        await create_aged_token(authority, database, f"left {n}", owner="left", created=LONG, used=LONG)
        for n in range(2)
    ]
    active = await create_aged_token(authority, database, "active", owner="here", created=LONG, used=SHORT)
    before = await find_names(admin_reader, "owner_inactive")

    await authority.manage("PATCH", f"/v1/tokens/{tokens[0]['id']}", {"owner": None})
    alone = await find_names(admin_reader, "owner_inactive")
    await authority.manage("PATCH", f"/v1/tokens/{tokens[0]['id']}", {"owner": "here"})

    assert (before, alone) == (["left 0", "left 1"], [])
    assert await find_names(admin_reader, "owner_inactive") == ["active"]
    await authority.manage("PATCH", f"/v1/tokens/{active['id']}", {"owner": "left"})
    assert await find_names(admin_reader, "owner_inactive") == ["active"]


@pytest.fixture
async def findings(authority: Authority, database: ClonedDatabase) -> None:
    """Create tokens with every kind of finding, and inactive ones that would have them."""
    await add_site(database)
    for number in range(8):
        issued = await authority.issue(
            *(["polls:*:*"] if number % 2 else ["polls:read:PLAT"]),
            name=f"{['alive', 'disabled', 'expired', 'revoked'][max(0, number - 4)]} {number}",
            owner="left",
            site=OTHER_SITE if number in (1, 2) else None,
            expires_in=3600 if number in (2, 3) else "never",
        )
        await backdate(database, issued["id"], created=2 * LONG, used=LONG if number % 3 else None)
        await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})
        await authority.introspect(issued["token"])
        if number == 5:
            await authority.manage("POST", f"/v1/tokens/{issued['id']}/disable", {})
        if number == 6:
            await expire_token(database, issued["id"])
        if number == 7:
            await authority.revoke(issued["id"])


@pytest.mark.usefixtures("findings")
async def test_findings_are_sorted_by_kind_and_token_over_pages_of_any_size(admin_reader: Reader) -> None:
    whole = await admin_reader.list_all(PATH, limit=200)
    places = [(FINDING_KINDS.index(item["kind"]), item["token"]["id"]) for item in whole]

    assert {item["kind"] for item in whole} == set(FINDING_KINDS)
    assert {item["token"]["status"] for item in whole} == {"active"}
    assert places == sorted(set(places))
    for limit in (1, 2, 3, 5, 8, len(whole)):
        assert await admin_reader.list_all(PATH, limit=limit) == whole
    for kind in FINDING_KINDS:
        assert await admin_reader.list_all(PATH, limit=2, kind=kind) == [item for item in whole if item["kind"] == kind]


@pytest.mark.usefixtures("findings")
async def test_every_finding_has_reason_and_remedy(admin_reader: Reader) -> None:
    for item in await admin_reader.list_all(PATH):
        for text in (item["reason"], item["remedy"]):
            assert text[0].isupper()
            assert text.endswith(".")
            assert "None" not in text


@pytest.mark.usefixtures("findings")
@pytest.mark.parametrize("limits", [{"sites": [OTHER_SITE]}, {"scopes": ["polls:read:PLAT", "polls:vote:*"]}])
async def test_issuer_gets_findings_within_limits_only(
    authority: Authority, admin_reader: Reader, limits: dict[str, list[str]]
) -> None:
    issuer = await create_reader(authority, role="issuer", **limits)

    findings, seen = await issuer.list_all(PATH, limit=2), {token["id"] for token in await issuer.list_all()}

    assert findings == [item for item in await admin_reader.list_all(PATH) if item["token"]["id"] in seen]
    assert {item["kind"] for item in findings} >= {"unused", "expiring", "owner_inactive"}


async def test_owner_inactive_for_issuer_ignores_tokens_beyond_limits(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    for number in range(2):
        await create_aged_token(authority, database, f"seen {number}", owner="ada", created=LONG, used=LONG)
        await create_aged_token(
            authority, database, f"unseen {number}", owner="ada", created=LONG, scopes=["polls:read:OPS"], used=SHORT
        )
    issuer = await create_reader(authority, role="issuer", scopes=["polls:read:PLAT"])

    assert await find_names(admin_reader, "owner_inactive") == []
    assert await find_names(issuer, "owner_inactive") == ["seen 0", "seen 1"]


WRONG: list[tuple[str, Any]] = [
    *(("unused_days", 0), ("unused_days", 3651), ("expiring_days", 0), ("expiring_days", "x"), ("limit", 0)),
    *(("limit", 1001), ("kind", "odd"), ("colour", "red"), ("cursor", ""), ("cursor", "x"), ("cursor", "AAAA")),
    ("cursor", urlsafe_b64encode(b'["odd","tok_x"]').decode()),
    ("cursor", urlsafe_b64encode(b'["unused","\\u0000"]').decode()),
    ("cursor", urlsafe_b64encode(b'["unused",1]').decode()),
    ("cursor", urlsafe_b64encode(b'["name",false,"a","tok_x"]').decode()),
]


async def test_invalid_parameter_returns_400(admin_reader: Reader, subtests: pytest.Subtests) -> None:
    for name, value in WRONG:
        with subtests.test(**{name: value}):
            answer = await admin_reader.get(PATH, **{name: value})

            assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, name)


async def test_review_of_several_kinds_and_by_search(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    for name, owner in (("old report", "ada"), ("old sync", "ada"), ("old survey", "bob")):
        await create_aged_token(authority, database, name, created=2 * LONG, used=LONG, owner=owner)
    await create_aged_token(authority, database, "new report", expires_in=3600, owner="eve")
    auditor = await create_reader(authority, role="auditor", sites=[(await authority.issue())["site"]])

    for reader in (admin_reader, auditor):
        findings = await reader.list_all(PATH, kind=["expiring", "unused"], limit=2)
        assert [(item["kind"], item["token"]["name"]) for item in findings if item["kind"] == "expiring"] == [
            ("expiring", "new report")
        ]
        assert [item["kind"] for item in findings] == ["unused"] * 3 + ["expiring"]
        assert await find_names(reader, "unused", search="REPORT") == ["old report"]
        assert await find_names(reader, "owner_inactive") == ["old report", "old sync"]
        assert await find_names(reader, "owner_inactive", search="sync") == ["old sync"]
        assert await find_names(reader, "unused", search="ada") == ["old report", "old sync"]


async def test_cursor_of_other_kind_returns_400(admin_reader: Reader) -> None:
    cursor = urlsafe_b64encode(b'["unused","tok_x"]').decode()

    assert (await admin_reader.get(PATH, kind="expiring", cursor=cursor)).status == 400
    assert (await admin_reader.get(PATH, kind="unused", cursor=cursor)).status == 200
