"""Findings that administrators keep are left out of the review for some time, and completed reviews are recorded."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.token_authority.domain.review import FINDING_KINDS, KEEPABLE
from services.token_authority.tasks.retention import Retention
from shared.runtime.postgres.database import database as connected
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Answer, Authority
from tests.support.token_fixtures import Reader, backdate, create_reader, expire_token

pytestmark = pytest.mark.shared_services

PATH = "/v1/tokens/review"
LONG = timedelta(days=200)


@pytest.fixture
async def admin_reader(authority: Authority) -> Reader:
    """Return a client that reads as an administrator."""
    return Reader(authority)


@pytest.fixture
async def token_id(authority: Authority) -> str:
    """Create a token with the finding `never_expires`. Return its id."""
    return str((await authority.issue("polls:read:PLAT", expires_in="never"))["id"])


async def keep(authority: Authority, token_id: str, **body: Any) -> Answer:
    return await authority.manage("POST", f"/v1/tokens/{token_id}/keep", {"kind": "never_expires", **body})


async def list_places(reader: Reader, **query: Any) -> list[tuple[str, str]]:
    """Return the kind and the token's id of each finding."""
    return [(item["kind"], item["token"]["id"]) for item in await reader.list_all(PATH, **query)]


async def set_end(database: ClonedDatabase, token_id: str, ago: timedelta) -> None:
    """Set how long ago the token's findings were kept until."""
    statement = "UPDATE token_authority.kept_finding SET kept_until = now() - $2::interval WHERE token_id = $1"
    await fetch(database.admin_url, statement, token_id, ago)


async def test_kept_finding_is_left_out_of_review_unless_included(
    authority: Authority, admin_reader: Reader, token_id: str
) -> None:
    (before,) = await admin_reader.list_all(PATH)

    answer = await keep(authority, token_id)

    kept = answer.json
    (included,) = await admin_reader.list_all(PATH, include_kept=True)
    own = (await authority.manage("GET", "/v1/admin-keys/own")).json["id"]
    assert answer.status == 200
    assert (kept["token_id"], kept["kind"], kept["kept_by"]) == (token_id, "never_expires", f"admin_key:{own}")
    assert await admin_reader.list_all(PATH) == []
    assert (before["kept_until"], before["kept_by"]) == (None, None)
    assert included == {**before, "kept_until": kept["kept_until"], "kept_by": kept["kept_by"]}


async def test_kept_finding_returns_to_review_after_its_days(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader, token_id: str
) -> None:
    await keep(authority, token_id, days=1)
    during = await list_places(admin_reader)

    await set_end(database, token_id, timedelta(seconds=1))

    (finding,) = await admin_reader.list_all(PATH, include_kept=True)
    assert during == []
    assert await list_places(admin_reader) == [("never_expires", token_id)]
    assert finding["kept_until"] is None


@pytest.mark.parametrize(("body", "days"), [({}, 90), ({"days": 1}, 1), ({"days": 365}, 365)])
async def test_keep_finding_counts_days_from_now(
    authority: Authority, token_id: str, body: dict[str, int], days: int
) -> None:
    await keep(authority, token_id, days=200)
    sent_at = datetime.now(UTC)

    answer = await keep(authority, token_id, **body)

    kept_until = datetime.fromisoformat(answer.json["kept_until"])
    assert sent_at <= kept_until - timedelta(days=days) <= datetime.now(UTC)


async def test_keep_finding_writes_record_with_kind_and_end(authority: Authority, token_id: str) -> None:
    kept = (await keep(authority, token_id)).json

    record = (await authority.manage("GET", f"/v1/audit?subject=token:{token_id}")).json["items"][-1]
    assert (record["action"], record["before"]) == ("token.keep", {})
    assert record["after"] == {"kind": "never_expires", "kept_until": kept["kept_until"]}


async def create_token_with_every_finding(authority: Authority, database: ClonedDatabase, scope: str) -> str:
    """Create a token that never expires and has every other finding that does not exclude this."""
    issued = await authority.issue(scope, owner=f"owner of {scope}", expires_in="never")
    await authority.issue(scope, owner=f"owner of {scope}", expires_in="400d", name="the other one")
    for token in (await authority.manage("GET", "/v1/tokens?search=owner")).json["items"]:
        await backdate(database, token["id"], created=2 * LONG, used=LONG)
    await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {"overlap_s": 0})
    await authority.introspect(issued["token"])
    await backdate(database, issued["id"], used=LONG)
    return str(issued["id"])


async def test_keep_finding_leaves_other_kinds_and_tokens_in_review(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader, subtests: pytest.Subtests
) -> None:
    token_id, _ = [
        await create_token_with_every_finding(authority, database, scope) for scope in ("polls:*:*", "polls:read:PLAT")
    ]
    issuer = await create_reader(authority, role="issuer", scopes=["polls:*:*"])
    await authority.manage("PATCH", f"/v1/tokens/{token_id}", {"expires_in": 3600})
    whole = await list_places(admin_reader)
    kinds = {kind for kind, each in whole if each == token_id}
    assert kinds == set(FINDING_KINDS) - {"never_used", "never_expires"}
    for kind in kinds & set(KEEPABLE):
        with subtests.test(kind=kind):
            await keep(authority, token_id, kind=kind)
            whole.remove((kind, token_id))

            assert await list_places(admin_reader) == whole
            assert await list_places(admin_reader, limit=1) == whole
            assert await list_places(issuer) == whole


async def test_owner_inactive_for_issuer_compares_tokens_whose_findings_are_kept(
    authority: Authority, database: ClonedDatabase
) -> None:
    ids = [(await authority.issue("polls:read:PLAT", owner="left", expires_in="400d"))["id"] for _ in range(2)]
    for each in ids:
        await backdate(database, each, created=2 * LONG, used=LONG)
    issuer = await create_reader(authority, role="issuer", scopes=["polls:read:PLAT"])

    await keep(authority, ids[0], kind="owner_inactive")

    assert await list_places(issuer, kind="owner_inactive") == [("owner_inactive", ids[1])]


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"days": 0}, "/days"),
    ({"days": 366}, "/days"),
    ({"days": -(2**62)}, "/days"),
    ({"days": "90"}, "/days"),
    ({"kind": "odd"}, "/kind"),
    ({"kind": None}, "/kind"),
    ({"reason": "x"}, "/reason"),
]


async def test_keep_finding_with_invalid_field_returns_422(
    authority: Authority, admin_reader: Reader, token_id: str, subtests: pytest.Subtests
) -> None:
    for body, pointer in INVALID:
        with subtests.test(body=body):
            answer = await keep(authority, token_id, **body)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)
    assert len(await list_places(admin_reader)) == 1


async def test_keep_finding_of_token_beyond_limits_or_unknown_returns_404(
    authority: Authority, admin_reader: Reader, token_id: str
) -> None:
    issuer = await create_reader(authority, role="issuer", scopes=["polls:*:OPS"])
    own = (await authority.issue("polls:read:OPS", expires_in="never"))["id"]

    beyond = await issuer.post(f"/v1/tokens/{token_id}/keep", {"kind": "never_expires"})
    within = await issuer.post(f"/v1/tokens/{own}/keep", {"kind": "never_expires"})

    assert (beyond.status, beyond.json["type"]) == (404, "/docs/problems/unknown-token")
    assert within.status == 200
    assert [(await keep(authority, each)).status for each in ("tok_unknown", "%00")] == [404, 404]
    assert await list_places(admin_reader) == [("never_expires", token_id)]


async def test_keep_finding_of_ended_token_returns_409_and_of_disabled_token_200(
    authority: Authority, database: ClonedDatabase
) -> None:
    revoked, expired, disabled = [(await authority.issue())["id"] for _ in range(3)]
    await authority.revoke(revoked)
    await expire_token(database, expired)
    await authority.manage("POST", f"/v1/tokens/{disabled}/disable", {})

    answers = [await keep(authority, each) for each in (revoked, expired, disabled)]

    assert [answer.status for answer in answers] == [409, 409, 200]
    assert answers[0].json["type"] == "/docs/problems/token-ended"


async def test_revoked_token_with_kept_finding_is_refused(authority: Authority) -> None:
    issued = await authority.issue(expires_in="never")
    await keep(authority, issued["id"])

    await authority.revoke(issued["id"])

    assert (await authority.introspect(issued["token"])).json["active"] is False


@pytest.fixture
async def retention(database: ClonedDatabase, authority: Authority) -> AsyncGenerator[Retention, None]:
    """Return the retention task on the database of the authority."""
    async with connected(database.token_authority_url, size=2, statement_cache=100) as opened:
        yield Retention(opened)


async def test_retention_deletes_findings_that_are_no_longer_kept(
    authority: Authority, database: ClonedDatabase, retention: Retention, token_id: str
) -> None:
    other = (await authority.issue())["id"]
    for each in (token_id, other):
        await keep(authority, each, days=1)
    await set_end(database, token_id, timedelta(seconds=1))

    await retention.delete_old(datetime.now(UTC))

    rows = await fetch(database.admin_url, "SELECT token_id FROM token_authority.kept_finding")
    assert [row["token_id"] for row in rows] == [other]


async def test_review_shows_by_whose_key_it_was_last_completed(authority: Authority, admin_reader: Reader) -> None:
    issuer = await create_reader(authority, role="issuer", scopes=["polls:*:OPS"])
    second = await create_reader(authority, role="admin")
    own = (await second.get("/v1/admin-keys/own")).json["id"]
    never = (await admin_reader.get(PATH)).json["last_completed"]
    await admin_reader.post(f"{PATH}/complete", None)

    answer = await second.post(f"{PATH}/complete", None)
    assert (await issuer.post(f"{PATH}/complete", None)).status == 403

    record = (await authority.manage("GET", "/v1/audit?subject=review:tokens")).json["items"][-1]
    assert never is None
    assert (answer.status, answer.json["by"]) == (200, f"admin_key:{own}")
    assert (await admin_reader.get(PATH)).json["last_completed"] == answer.json
    assert (record["action"], record["at"], record["actor_id"]) == ("review.complete", answer.json["at"], own)
    assert (record["before"], record["after"]) == ({}, {})


async def test_alert_cannot_be_kept(authority: Authority) -> None:
    issued = await authority.issue(name="Report")

    answer = await authority.manage(
        "POST", f"/v1/tokens/{issued['id']}/keep", {"kind": "rotated_secret_in_use", "days": 1}
    )

    assert answer.status == 422
    assert answer.json["errors"] == [
        {"detail": "a finding of the kind rotated_secret_in_use is an alert, which needs an answer", "pointer": "/kind"}
    ]
