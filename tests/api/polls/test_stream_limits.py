"""The limits of event streams per token and per process."""

import asyncio
from typing import Any

import pytest

from tests.support.sse_client import follow
from tests.support.stack import Authority, Polls


@pytest.fixture
def polls_settings() -> dict[str, Any]:
    """Return low limits."""
    return {"event_streams": 3, "event_streams_per_token": 2}


async def test_stream_over_limit_returns_429_for_token_and_503_for_process(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    other, third = [polls.with_token((await authority.issue())["token"]) for _ in range(2)]
    path = f"/polls/{poll['id']}/events"
    async with follow(polls, poll["id"]) as follower, follow(polls, poll["id"]), follow(other, poll["id"]):
        too_many = await polls.v1("GET", path)
        process_full = await third.v1("GET", path)
        follower.response.close()

    assert (too_many.status, too_many.json["type"]) == (429, "/docs/problems/too-many-streams")
    assert (process_full.status, process_full.headers["Retry-After"]) == (503, "1")
    async with asyncio.timeout(10):
        while not await can_follow(third, poll["id"]):
            await asyncio.sleep(0.1)


async def can_follow(polls: Polls, poll_id: str) -> bool:
    """Return whether a stream can be opened."""
    headers = {"Authorization": f"Bearer {polls.token}"}
    async with polls.session.get(f"{polls.base}/v1/polls/{poll_id}/events", headers=headers) as response:
        return response.status == 200
