"""`pollgate poll watch` in a process, whose output is read line by line."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services


class Watch(NamedTuple):
    """A running command."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        """Return the next line of its output; empty at the end."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def end(self) -> tuple[int, str]:
        """Return its exit status and its standard error."""
        _, err = await self.process.communicate()
        return self.process.returncode or 0, err.decode()


@asynccontextmanager
async def run_watch(polls: Polls, *arguments: str) -> AsyncGenerator[Watch, None]:
    """Run the command with the token of `polls`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pollgate",
        "poll",
        "watch",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "POLLS_URL": polls.base, "POLLGATE_TOKEN": polls.token, "PYTHONUTF8": "1"},
    )
    try:
        yield Watch(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture
async def poll(polls: Polls) -> Any:
    """Create a poll with two options."""
    return await polls.create_poll(options=[{"id": "y", "title": "Yes 👍"}, {"id": "n", "title": "No\u200b"}])


async def test_poll_watch_prints_a_line_per_change_until_deletion(polls: Polls, poll: Any) -> None:
    async with run_watch(polls, poll["id"]) as watch:
        begun = [await watch.line(), await watch.line()]
        await polls.vote(poll["id"], "ada", "n")
        voted = await watch.line()
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"}, allow="changeTitle")
        edited = await watch.line()
        await polls.v1("DELETE", f"/polls/{poll['id']}")
        deleted = await watch.line()
        status, err = await watch.end()

    assert [line[10:] for line in (*begun, voted, edited, deleted)] == [
        "poll     Lunch? (open)",
        "results  0 participants: Yes 👍 0.0 %, No\\u200b 0.0 %",
        "results  1 participant: No\\u200b 100.0 %, Yes 👍 0.0 %",
        "poll     Dinner? (open)",
        "deleted  the poll was deleted",
    ]
    assert (status, err) == (0, "")


async def test_poll_watch_prints_closing_of_poll(polls: Polls, poll: Any) -> None:
    async with run_watch(polls, poll["id"], "--json") as watch:
        await watch.line()
        await watch.line()
        await polls.v1("POST", "/polls:batch", {"items": [{"op": "close", "id": poll["id"]}]})
        events = [msgspec.json.decode(await watch.line()) for _ in range(3)]

    assert [event["event"] for event in events] == ["poll", "results", "closed"]
    assert events[1]["results"]["final"]
    assert events[2]["poll"]["status"] == "closed"


async def test_poll_watch_with_revoked_token_exits_1(polls: Polls, authority: Authority, poll: Any) -> None:
    issued = await authority.issue("polls:read:PLAT")
    async with run_watch(polls.with_token(issued["token"]), poll["id"]) as watch:
        await watch.line()
        await watch.line()

        await authority.revoke(issued["id"])

        status, err = await watch.end()

    assert status == 1
    assert err.startswith("pollgate: the events have ended: the polls service answered 401")
    assert len(err.splitlines()) == 1


async def test_poll_watch_of_unknown_poll_exits_1(polls: Polls) -> None:
    async with run_watch(polls, "ee9107b5-5041-4c15-8c76-f14404fa1fad") as watch:
        status, err = await watch.end()

    assert (status, err) == (
        1,
        "pollgate: the polls service answered 404: No poll has this id, or this token has no access to it.\n",
    )
