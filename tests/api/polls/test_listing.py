"""`GET /v1/polls` lists the polls that the token may read, in pages that concurrent writes do not disturb."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

CLOSED = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}


async def list_all(polls: Polls, **query: Any) -> list[Any]:
    """Return every poll that meets the conditions, from all pages."""
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = await polls.v1("GET", "/polls", **query, **cursor)
        assert answer.status == 200, answer.body
        found += answer.json["items"]
        if answer.json["next"] is None:
            return found
        cursor = {"cursor": answer.json["next"]}


def ids(found: list[Any]) -> list[str]:
    """Return the ids of the polls, in order."""
    return [poll["id"] for poll in found]


async def test_pages_have_every_poll_once_in_order_of_creation(polls: Polls) -> None:
    made = [(await polls.create_poll(title=f"Poll {number}"))["id"] for number in range(7)]

    assert ids(await list_all(polls, limit=3)) == made
    assert ids(await list_all(polls, limit=7)) == made
    assert (await polls.v1("GET", "/polls", limit=7)).json["next"] is None


async def test_page_of_long_polls_has_fewer_than_limit(polls: Polls) -> None:
    options = [{"id": f"{number:03}" + "€" * 60, "title": f"{number:03}" + "€" * 139} for number in range(100)]
    poll = {"title": "Long", "options": options, "location": {"workspace": "PLAT", "content": "PLAT-1"}}
    made = []
    for _ in range(10):
        answer = await polls.v1("POST", "/polls:batch", {"items": [{"op": "create", "poll": poll}]})
        made.append(answer.json["items"][0]["id"])

    first = await polls.v1("GET", "/polls", limit=10, expand="results")

    assert len(first.body) <= 1_100_000
    assert 1 < len(first.json["items"]) < 10
    assert ids(await list_all(polls, limit=10, expand="results")) == made


async def test_poll_that_exists_during_concurrent_writes_is_listed_once(polls: Polls) -> None:
    made = [(await polls.create_poll(title=f"Poll {number}"))["id"] for number in range(20)]
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            other = (await polls.create_poll(title="Another"))["id"]
            await polls.v1("PATCH", f"/polls/{made[0]}", {"title": "Changed"})
            await polls.v1("DELETE", f"/polls/{other}")

    writing = asyncio.create_task(write())
    found = ids(await list_all(polls, limit=2))
    stop.set()
    await writing

    assert [poll_id for poll_id in found if poll_id in made] == made
    assert len(found) == len(set(found))


async def test_deletion_from_earlier_page_does_not_change_following_pages(polls: Polls) -> None:
    made = [(await polls.create_poll())["id"] for _ in range(6)]
    first = (await polls.v1("GET", "/polls", limit=2)).json

    for poll_id in made[:2]:
        await polls.v1("DELETE", f"/polls/{poll_id}")
    second = (await polls.v1("GET", "/polls", limit=2, cursor=first["next"])).json

    assert [ids(page["items"]) for page in (first, second)] == [made[:2], made[2:4]]


async def test_list_is_filtered_by_each_segment_of_place(polls: Polls) -> None:
    places = [("PLAT", "1", ""), ("PLAT", "2", ""), ("PLAT", "2", "m"), ("SPACE", "2", "m"), ("SPACE", "2", "n")]
    made = {}
    for workspace, content, container in places:
        there = polls.at_place(workspace=workspace, content=content, container=container)
        made[workspace, content, container] = (await there.create_poll())["id"]
    everywhere = list(made.values())

    assert ids(await list_all(polls)) == everywhere
    assert ids(await list_all(polls, workspace="PLAT")) == everywhere[:3]
    assert ids(await list_all(polls, workspace="PLAT", content="2")) == everywhere[1:3]
    assert ids(await list_all(polls, workspace="SPACE", content="2", container="n")) == everywhere[4:]
    assert ids(await list_all(polls, workspace="NONE")) == []


async def test_place_without_its_wider_segments_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    queries: list[dict[str, Any]] = [{"content": "1"}, {"container": "m"}, {"workspace": "PLAT", "container": "m"}]
    for query in queries:
        with subtests.test(**query):
            assert (await polls.v1("GET", "/polls", **query)).status == 400


async def test_list_has_only_polls_that_token_may_read(polls: Polls, authority: Authority) -> None:
    made = {}
    for place in (("PLAT", "1", ""), ("PLAT", "2", ""), ("SPACE", "3", "m"), ("SPACE", "3", "n"), ("OTHER", "4", "")):
        there = polls.at_place(workspace=place[0], content=place[1], container=place[2])
        made[place] = (await there.create_poll())["id"]
    scopes = ["polls:read:PLAT", "polls:read:PLAT/2", "polls:read:SPACE/3/n", "polls:vote:OTHER", "polls:read:NONE"]
    holder = polls.with_token((await authority.issue(*scopes))["token"])

    everything = await list_all(holder, limit=1)
    in_space = await list_all(holder, workspace="SPACE")
    forbidden = await holder.v1("GET", "/polls", workspace="OTHER")

    assert ids(everything) == [made["PLAT", "1", ""], made["PLAT", "2", ""], made["SPACE", "3", "n"]]
    assert ids(in_space) == [made["SPACE", "3", "n"]]
    assert forbidden.status == 403
    assert "polls:read:OTHER" in forbidden.json["detail"]


async def test_list_is_filtered_by_status(polls: Polls) -> None:
    is_open, is_closed = (await polls.create_poll())["id"], (await polls.create_poll(**CLOSED))["id"]

    assert ids(await list_all(polls, status="open")) == [is_open]
    assert ids(await list_all(polls, status="closed")) == [is_closed]


async def test_list_is_filtered_by_time_of_update(polls: Polls) -> None:
    edited, untouched = (await polls.create_poll())["id"], (await polls.create_poll())["id"]
    since = datetime.now(UTC).isoformat()
    await polls.v1("PATCH", f"/polls/{edited}", {"title": "Dinner?"})

    assert ids(await list_all(polls, updatedSince=since)) == [edited]
    assert ids(await list_all(polls, updatedSince="2026-01-01T00:00:00Z")) == [edited, untouched]


async def test_list_with_expand_includes_results(polls: Polls) -> None:
    poll = await polls.create_poll()
    await polls.vote(poll["id"], "ada", "y")

    plain, expanded = await list_all(polls), await list_all(polls, expand="results")

    assert "results" not in plain[0]
    assert (expanded[0]["results"]["votes"], expanded[0]["results"]["options"][0]["votes"]) == (1, 1)


INVALID_QUERIES: list[dict[str, Any]] = [
    {"limit": "0"},
    {"limit": "101"},
    {"limit": "x"},
    {"status": "ajar"},
    {"expand": "votes"},
    {"updatedSince": "yesterday"},
    {"cursor": "x"},
    {"cursor": "WyJhIiwiYiJd"},
    {"colour": "red"},
]


async def test_invalid_query_returns_400_with_parameter(polls: Polls, subtests: pytest.Subtests) -> None:
    for query in INVALID_QUERIES:
        with subtests.test(str(query)[:60]):
            answer = await polls.v1("GET", "/polls", **query)

            assert answer.status == 400
            assert [error["parameter"] for error in answer.json["errors"]] == list(query)
