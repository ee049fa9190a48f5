"""Voting links are revoked on a page that says what that does, and to how many."""

from typing import Any

import pytest

from tests.support.page_client import Browser, manage
from tests.support.stack import Authority, Polls
from tests.support.voter import Voter, create_link

pytestmark = pytest.mark.shared_services


def path_to(poll: Any, page: str = "links/revoke") -> str:
    """Return the path of a page about the links of a poll."""
    return f"/manage/polls/{poll['id']}/{page}"


async def statuses(polls: Polls, poll: Any) -> list[str]:
    """Return the status of each link of a poll, the oldest first."""
    return [link["status"] for link in (await polls.v1("GET", f"/polls/{poll['id']}/links")).json["items"]]


@pytest.fixture
async def browser(polls: Polls, authority: Authority) -> Browser:
    """Return a browser that manages polls with a token for everything."""
    return await manage(polls, authority)


async def test_one_link_is_revoked_and_its_votes_stay(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    link, _ = await create_link(polls, poll["id"], label="Team page"), await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.vote(await voter.open(link), "Yes")
    (path,) = [each for each in (await browser.get(path_to(poll, "links"))).links if link["id"] in each and "?" in each]

    asked = await browser.get(path)
    done = await browser.send(asked)

    assert "Revoke the shared link “Team page”" in asked.text
    assert "1 person has voted by it. Votes that were cast stay." in asked.text
    assert done.location == f"{path_to(poll, 'links')}?done=revoked"
    assert "The link is revoked." in (await browser.follow(done)).text
    assert await statuses(polls, poll) == ["revoked", "active"]
    assert (await voter.get(f"/p/{link['id']}")).status == 404
    assert (await polls.get_results(poll["id"]))["votes"] == 1


async def test_link_that_was_revoked_before_is_left_as_it_is(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    form = await browser.get(path_to(poll), link=link["id"])
    await browser.send(form)

    sent, shown = await browser.send(form), await browser.get(path_to(poll), link=link["id"])

    assert [each.location for each in (sent, shown)] == [f"{path_to(poll, 'links')}?done=was_revoked"] * 2
    audit = (await polls.v1("GET", f"/polls/{poll['id']}/audit")).json["items"]
    assert len([record for record in audit if record["action"] == "link.revoke"]) == 1


async def test_link_of_another_poll_is_unknown(polls: Polls, browser: Browser) -> None:
    poll, other = await polls.create_poll(), await polls.create_poll()
    link = await create_link(polls, other["id"])
    form = await browser.get(path_to(other), link=link["id"])
    fields = form.form().filled({})

    pages = [
        await browser.get(path_to(poll), link=link["id"]),
        await browser.get(path_to(poll), link="x"),
        await browser.post(path_to(poll), fields),
    ]

    assert [page.status for page in pages] == [404] * 3
    assert await statuses(polls, other) == ["active"]


async def test_all_links_that_match_the_filter_are_revoked(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    for kind, fields in (("shared", {}), ("personal", {"participant": "ada"}), ("personal", {"participant": "bob"})):
        await create_link(polls, poll["id"], kind, **fields)
    listed = await browser.get(path_to(poll, "links"), kind="personal", status="active")
    (path,) = [link for link in listed.links if link.startswith(path_to(poll)) and "link=" not in link]

    asked = await browser.get(path)
    done = await browser.send(asked)

    assert "Revoke 2 active personal links" in asked.text
    assert "All 2 active personal links of this poll are revoked." in asked.text
    assert (done.status, "2 voting links were revoked." in done.text) == (200, True)
    assert path_to(poll, "links") in done.links
    assert await statuses(polls, poll) == ["active", "revoked", "revoked"]


async def test_all_links_are_revoked_without_a_filter(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    await create_link(polls, poll["id"])

    done = await browser.submit(path_to(poll))

    assert "1 voting link was revoked." in done.text
    assert (await browser.get(path_to(poll))).location == f"{path_to(poll, 'links')}?done=none_left"
    assert "No link is left to revoke" in (await browser.get(path_to(poll, "links"), done="none_left")).text


async def test_links_that_were_created_meanwhile_are_asked_about(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    await create_link(polls, poll["id"])
    asked = await browser.get(path_to(poll))
    await create_link(polls, poll["id"])

    again = await browser.send(asked)
    assert (again.status, "There are more or fewer of these links" in again.text) == (409, True)
    assert await statuses(polls, poll) == ["active", "active"]

    assert "2 voting links were revoked." in (await browser.send(again)).text


async def test_conditions_that_do_not_exist_revoke_nothing(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    await create_link(polls, poll["id"])

    assert (await browser.get(path_to(poll), kind="every")).status == 400
    assert (await browser.submit(path_to(poll), kind="every")).status == 303
    assert await statuses(polls, poll) == ["active"]
