"""Expand, then contract: the last release works on the schema of this one, and beside its services.

`tests/support/last_release.py` names the release. A migration that removes what it needs belongs into the next release.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from tests.support.databases import ClonedDatabase
from tests.support.last_release import extract_last_release
from tests.support.page_client import sign_in
from tests.support.processes import authority_settings, polls_settings, run_service
from tests.support.shared_stack import wait_for_lease
from tests.support.sse_client import follow
from tests.support.stack import Authority, Polls
from tests.support.voter import Voter, create_link

pytestmark = pytest.mark.own_database


class Services(NamedTuple):
    """Clients of running services."""

    authority: Authority
    polls: Polls


@asynccontextmanager
async def run_services(
    database: ClonedDatabase,
    redis_url: str,
    folder: Path,
    output: Path,
    *,
    authority_code: Path | None,
    polls_code: Path | None,
) -> AsyncGenerator[Services, None]:
    """Run both services, each with the code of this checkout or of a folder."""
    settings = authority_settings(database, redis_url, folder)
    async with run_service("token_authority", settings, output, authority_code) as running:
        settings = polls_settings(database, redis_url, running.base)
        async with (
            run_service("polls", settings, output, polls_code) as serving,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            authority, polls = Authority(session, running.base), Polls(session, serving.base)
            authority.admin_key = (folder / "admin.key").read_text().strip()
            polls.endpoint = await authority.get_endpoint()
            await wait_for_lease(polls)
            yield Services(authority, polls)


@pytest.mark.parametrize(
    ("authority_is_old", "polls_is_old"),
    [
        pytest.param(True, True, id="the last release alone"),
        pytest.param(False, True, id="its guard at the authority of this release"),
        pytest.param(True, False, id="the guard of this release at its authority"),
    ],
)
async def test_services_of_the_last_release_work_on_the_schema_of_this_one(
    database: ClonedDatabase,
    redis_url: str,
    tmp_path: Path,
    output: Path,
    authority_is_old: bool,
    polls_is_old: bool,
) -> None:
    last_release = extract_last_release(tmp_path)
    async with run_services(
        database,
        redis_url,
        tmp_path,
        output,
        authority_code=last_release if authority_is_old else None,
        polls_code=last_release if polls_is_old else None,
    ) as services:
        await manage_tokens(services.authority)
        poll_id = await use_polls(services)
        await vote_by_link(services.polls, poll_id)
        await revoke_in_use(services, poll_id)
        await use_settings_pages(services.authority)


@pytest.mark.slow
async def test_what_one_release_has_written_is_read_by_the_other(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    """Upgrade, then roll back: rows of each release are used by the other one."""
    codes = {"old": extract_last_release(tmp_path), "new": None}
    written: tuple[str, str] | None = None
    for name in ("old", "new", "old"):
        async with run_services(
            database, redis_url, tmp_path, output, authority_code=codes[name], polls_code=codes[name]
        ) as (authority, polls):
            if written is not None:
                polls.token, poll_id = written
                assert (await polls.vote(poll_id, "ada", "y")).status == 201
                assert (await polls.get_results(poll_id))["votes"] == 1
            polls.token = (await authority.issue())["token"]
            written = polls.token, (await polls.create_poll())["id"]


async def manage_tokens(authority: Authority) -> None:
    """Issue a token, introspect it, change, rotate and find it."""
    issued = await authority.issue("polls:read:PLAT", name="of a walk")
    assert (await authority.introspect(issued["token"])).json["active"]
    path = f"/v1/tokens/{issued['id']}"
    assert (await authority.manage("PATCH", path, {"name": "renamed"})).status == 200
    rotated = await authority.manage("POST", f"{path}/rotate", {"overlap_s": 3600})
    assert rotated.status == 200, rotated.body
    assert (await authority.introspect(rotated.json["token"])).json["active"]
    assert (await authority.manage("GET", path)).json["name"] == "renamed"
    assert (await authority.manage("GET", "/v1/audit")).status == 200


async def use_polls(services: Services) -> str:
    """Create a poll in both APIs, edit it, vote, and follow the results. Return the id of the poll."""
    authority, polls = services
    polls.token = (await authority.issue())["token"]
    poll = await polls.create_poll(settings={"allowRevote": True})
    body = {
        "title": "Tea?",
        "options": [{"id": "1", "title": "Yes", "order": 0}, {"id": "2", "title": "No", "order": 1}],
    }
    assert (await polls.call("POST", body)).status == 200
    assert (await polls.call("GET")).status == 200
    changed = await polls.v1(
        "PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"}, {"Content-Type": "application/merge-patch+json"}
    )
    assert changed.status == 200, changed.body
    assert (await polls.vote(poll["id"], "ada", "y")).status == 201
    async with follow(polls, poll["id"]) as stream:
        assert (await polls.vote(poll["id"], "bob", "n")).status == 201
        await stream.until(lambda event: event.name == "results" and event.data["votes"] == 2)
    return str(poll["id"])


async def vote_by_link(polls: Polls, poll_id: str) -> None:
    """Open a voting link, and vote on its page."""
    link = await create_link(polls, poll_id)
    voter = Voter(polls)
    page = await voter.open(link)
    assert page.status == 200
    assert (await voter.vote(page, "Yes")).status == 303
    assert (await polls.get_results(poll_id))["votes"] == 3


async def revoke_in_use(services: Services, poll_id: str) -> None:
    """Revoke a token that the guard has cached. Its use is refused at once."""
    authority, polls = services
    issued = await authority.issue()
    holder = polls.with_token(issued["token"])
    assert [(await holder.v1("GET", f"/polls/{poll_id}")).status for _ in range(3)] == [200, 200, 200]
    revoked = await authority.revoke(issued["id"])
    assert (revoked["effective"], revoked["guards"]) == (True, {"confirmed": 1, "expired": 0})
    assert (await holder.v1("GET", f"/polls/{poll_id}")).status == 401


async def use_settings_pages(authority: Authority) -> None:
    """Sign in on the settings pages, and open some."""
    browser = await sign_in(authority, authority.admin_key)
    for path in ("/settings/", "/settings/audit", "/settings/services"):
        page = await browser.get(path)
        assert page.status in (200, 303), f"{path}: {page.status} {page.text}"
