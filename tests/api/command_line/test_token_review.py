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
        self.expected: list[dict[str, str]] = []

    async def review(self, request: web.Request) -> web.Response:
        self.expected.append(dict(request.query))
        kind, place = request.query.get("kind"), int(request.query.get("cursor", "0"))
        found = [finding for finding in self.findings if kind in (None, finding["kind"])]
        following = str(place + 1) if place + 1 < len(found) else None
        return web.json_response({"items": found[place : place + 1], "next": following})


@pytest.fixture
async def reviewer(pollgate: CommandLine) -> AsyncGenerator[Reviewer, None]:
    """Run a reviewer without findings, which the command uses."""
    reviewer, app = Reviewer(), web.Application()
    app.router.add_get("/v1/tokens/review", reviewer.review)
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
    assert [name for query in reviewer.expected for name in query] == ["limit"]


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
        *("--expiring-days", "14", "--json"),
    )

    expected = {"unused_days": "30", "expiring_days": "14", "limit": "200"}
    assert (reviewed.status, [each["kind"] for each in reviewed.json]) == (3, ["unused"])
    assert reviewer.expected == [{"kind": "unused", **expected}, {"kind": "never_used", **expected}]


async def test_token_review_that_fails_exits_1(pollgate: CommandLine) -> None:
    pollgate.use_authority("http://127.0.0.1:1", "pga_x")

    reviewed = await pollgate("token", "review")

    assert (reviewed.status, reviewed.out) == (1, "")
    assert "does not answer" in reviewed.err
