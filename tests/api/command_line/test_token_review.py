"""`pollgate token review`, with an authority whose findings the test defines."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web

from shared.runtime.process.serve import listen
from tests.support.command_line import CommandLine
from tests.support.stack import HOST, Authority

pytestmark = pytest.mark.shared_services


class Reviewer:
    """Returns `findings`, one per page, and records queries in `queries`."""

    def __init__(self) -> None:
        self.findings: list[dict[str, Any]] = []
        self.expected: list[list[tuple[str, str]]] = []

    async def review(self, request: web.Request) -> web.Response:
        self.expected.append(list(request.query.items()))
        kinds, place = request.query.getall("kind", []), int(request.query.get("cursor", "0"))
        found = [finding for finding in self.findings if not kinds or finding["kind"] in kinds]
        following = str(place + 1) if place + 1 < len(found) else None
        return web.json_response({"items": found[place : place + 1], "next": following, "limits": None})

    async def show_own_admin_key(self, _request: web.Request) -> web.Response:
        key = {"id": "adm_x", "name": "x", "role": "auditor", "hint": "pga_…", "created_at": "2026-01-01T00:00:00Z"}
        nothing = dict.fromkeys(("sites", "scopes", "revoked_at", "revoked_by"))
        return web.json_response({**key, **nothing, "created_by": "system"})


@pytest.fixture
async def reviewer(pollgate: CommandLine) -> AsyncGenerator[Reviewer, None]:
    """Run a reviewer without findings, which the command uses."""
    reviewer, app = Reviewer(), web.Application()
    app.router.add_get("/v1/tokens/review", reviewer.review)
    app.router.add_get("/v1/admin-keys/own", reviewer.show_own_admin_key)
    async with listen(app, HOST, 0) as port:
        pollgate.use_authority(f"http://{HOST}:{port}", "pga_x")
        yield reviewer


@pytest.fixture
async def finding(authority: Authority) -> dict[str, Any]:
    """Return the finding that ada's token is unused."""
    issued = await authority.issue(name="Report", owner="ada")
    token = {name: value for name, value in issued.items() if name != "token"}
    return {"kind": "unused", "token": token, "reason": "not used for 120 days", "remedy": "Revoke it."}


async def test_token_review_without_findings_exits_0(pollgate: CommandLine, reviewer: Reviewer) -> None:
    reviewed = await pollgate("token", "review")

    assert reviewed == (0, "No findings.\n", "")
    assert [name for query in reviewer.expected for name, _ in query] == ["limit"]


async def test_token_review_groups_findings_by_urgency_and_exits_3(
    pollgate: CommandLine, reviewer: Reviewer, finding: dict[str, Any]
) -> None:
    leak = {**finding, "kind": "rotated_secret_in_use", "reason": "presented today", "remedy": "Find who presents it."}
    reviewer.findings = [finding, leak, finding, {**finding, "kind": "to_come", "remedy": "Look at it."}]

    reviewed = await pollgate("token", "review")

    lines = reviewed.out.splitlines()
    headings = ["Rotated secrets that are still in use: 1 token", "Tokens that are no longer used: 2 tokens"]
    assert (reviewed.status, reviewed.err) == (3, "")
    assert [line for line in lines if line in headings] == headings
    assert "to_come: 1 token" in lines
    assert [line for line in lines if line in ("Revoke it.", "Find who presents it.")] == [leak["remedy"], "Revoke it."]
    assert any("Report" in line and "ada" in line and "not used for 120 days" in line for line in lines)


async def test_token_review_sends_kinds_and_days(
    pollgate: CommandLine, reviewer: Reviewer, finding: dict[str, Any]
) -> None:
    reviewer.findings = [finding, {**finding, "kind": "expiring"}]

    reviewed = await pollgate(
        *("token", "review", "--kind", "unused", "--kind", "never_used", "--unused-days", "30"),
        *("--expiring-days", "14", "--search", "report", "--json"),
    )

    assert (reviewed.status, [each["kind"] for each in reviewed.json]) == (3, ["unused"])
    kinds, days = [("kind", "unused"), ("kind", "never_used")], [("unused_days", "30"), ("expiring_days", "14")]
    assert reviewer.expected == [[*kinds, ("search", "report"), *days, ("limit", "200")]]


async def test_token_keep_leaves_finding_out_of_reviews_without_include_kept(
    pollgate: CommandLine, authority: Authority
) -> None:
    token_id = (await authority.issue("polls:read:PLAT", name="CI", expires_in="never"))["id"]
    before = await pollgate("token", "review")

    kept = await pollgate("token", "keep", token_id, "--kind", "never_expires", "--days", "30")
    as_json = await pollgate("token", "keep", token_id, "--kind", "never_expires", "--json")

    after, all_findings = await pollgate("token", "review"), await pollgate("token", "review", "--include-kept")
    assert (before.status, after.status, all_findings.status) == (3, 0, 3)
    assert kept.out.startswith(f"Reviews leave out the finding never_expires of {token_id} until ")
    assert as_json.json["kept_by"] in all_findings.out
    assert "Kept until " in all_findings.out


async def test_token_complete_review_prints_the_time_and_the_one_before(pollgate: CommandLine) -> None:
    own = (await pollgate("admin", "whoami", "--json")).json["id"]

    first = await pollgate("token", "complete-review")
    second = await pollgate("token", "complete-review")
    third = await pollgate("token", "complete-review", "--json")

    assert (first.status, second.status, len(first.out.splitlines())) == (0, 0, 1)
    assert second.out.splitlines()[1].startswith("The one before was completed at ")
    assert second.out.endswith(f" by admin_key:{own}.\n")
    assert third.json["by"] == f"admin_key:{own}"


async def test_token_review_that_fails_exits_1(pollgate: CommandLine) -> None:
    pollgate.use_authority("http://127.0.0.1:1", "pga_x")

    reviewed = await pollgate("token", "review")

    assert (reviewed.status, reviewed.out) == (1, "")
    assert "does not answer" in reviewed.err
