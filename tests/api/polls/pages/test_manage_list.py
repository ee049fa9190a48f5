"""The list of polls that a token holder manages."""

import pytest

from tests.support.page_client import Page, manage
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

LIST = "/manage/polls"
CLOSED = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
HIDDEN = {"settings": {"resultsVisibility": "never"}}


def titles(page: Page, *candidates: str) -> list[str]:
    """Return those of the titles that the page shows, in its order."""
    return sorted((each for each in candidates if f">{each}</a>" in page.html), key=page.html.index)


async def test_list_has_polls_that_token_may_read_the_newest_first(polls: Polls, authority: Authority) -> None:
    for title, *place in (("first", "PLAT", "1"), ("second", "PLAT", "2"), ("third", "OTHER", "3")):
        await polls.at_place(workspace=place[0], content=place[1]).create_poll(title=title)
    browser = await manage(polls, authority, "polls:read:PLAT")

    page = await browser.get(LIST)

    assert titles(page, "first", "second", "third") == ["second", "first"]
    assert "Read polls in PLAT." in page.text
    assert "PLAT / 2" in page.text


async def test_list_shows_status_and_numbers_that_token_may_see(polls: Polls, authority: Authority) -> None:
    public, hidden = await polls.create_poll(title="public"), await polls.create_poll(title="hidden", **HIDDEN)
    for poll in (public, hidden):
        assert (await polls.vote(poll["id"], "ada", "y")).status == 201
    reader = await manage(polls, authority, "polls:read:PLAT")
    everything = await manage(polls, authority, "polls:read,results:PLAT")

    as_reader, as_evaluator = await reader.get(LIST), await everything.get(LIST)

    assert as_reader.text.count("hidden") == 3  # its title and both numbers
    assert as_evaluator.text.count("hidden") == 1
    assert 'data-label="Participants">1<' in as_reader.html


async def test_list_is_filtered_by_place_and_status(polls: Polls, authority: Authority) -> None:
    for title, content in (("one", "1"), ("two", "2"), ("over", "2")):
        settings = CLOSED if title == "over" else {}
        await polls.at_place(workspace="PLAT", content=content).create_poll(title=title, **settings)
    await polls.at_place(workspace="SPACE", content="3", container="macro-7").create_poll(title="macro")
    browser = await manage(polls, authority)
    cases: tuple[tuple[dict[str, str], list[str]], ...] = (
        ({"workspace": "PLAT"}, ["over", "two", "one"]),
        ({"workspace": "PLAT", "content": "2"}, ["over", "two"]),
        ({"workspace": "SPACE", "content": "3", "container": "macro-7"}, ["macro"]),
        ({"workspace": "PLAT", "status": "closed"}, ["over"]),
        ({"status": "open"}, ["macro", "two", "one"]),
        ({"workspace": "NONE"}, []),
    )

    for fields, expected in cases:
        sent = {name if name == "status" else f"place-{name}": value for name, value in fields.items()}
        found = await browser.follow(await browser.submit(LIST, "/manage/polls/search", **sent))
        assert titles(found, "one", "two", "over", "macro") == expected
        assert ("No poll matches." in found.text) == (not expected)
        assert all(found.form("/manage/polls/search").fields[name] == [value] for name, value in sent.items())


async def test_filter_that_is_incomplete_is_explained_beside_its_field(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority)

    without_workspace = await browser.get(LIST, content="1")
    without_content = await browser.get(LIST, workspace="PLAT", container="m")

    assert (without_workspace.status, without_content.status) == (422, 422)
    assert "Enter the workspace that the content is in." in without_workspace.text
    assert "Enter the content that the container is on." in without_content.text


async def test_secret_that_is_entered_as_a_filter_gets_into_no_address(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority)

    page = await browser.submit(LIST, "/manage/polls/search", **{"place-workspace": polls.token})

    assert (page.status, page.location) == (422, "")
    assert "This is a secret, not the name of a place." in page.text
    assert polls.token not in page.html


async def test_place_outside_of_the_scope_shows_no_poll(polls: Polls, authority: Authority) -> None:
    await polls.at_place(workspace="OTHER", content="1").create_poll(title="secret plan")
    browser = await manage(polls, authority, "polls:read:PLAT")

    page = await browser.get(LIST, workspace="OTHER")

    assert (page.status, "Your token may not read polls there." in page.text) == (200, True)
    assert "secret plan" not in page.text


async def test_long_list_has_pages(polls: Polls, authority: Authority) -> None:
    names = [f"poll {number:02}" for number in range(52)]
    for name in names:
        await polls.create_poll(title=name)
    browser = await manage(polls, authority)

    first = await browser.get(LIST, status="open")
    (following,) = [link for link in first.links if "cursor=" in link]
    second = await browser.get(following.replace("&amp;", "&"))

    assert titles(first, *names) == names[:1:-1]
    assert titles(second, *names) == ["poll 01", "poll 00"]
    assert "status=open" in following
    assert "First page" in second.text
    assert (await browser.get(LIST, cursor="forged")).status == 400


async def test_empty_list_says_what_to_do(polls: Polls, authority: Authority) -> None:
    cases = (
        (("polls:read,create:PLAT",), "Create the first one"),
        (("polls:read:PLAT",), "A token with the action create can create one."),
        (("polls:create:PLAT",), "Your token may create polls, but not list them."),
        (("polls:vote:PLAT",), "Your token may not list polls: ask the people who have created it."),
        (("polls:update:PLAT",), "Your token may neither list nor create polls."),
    )

    for scopes, text in cases:
        page = await (await manage(polls, authority, *scopes)).get(LIST)
        assert text in page.text
        assert ("/manage/polls/new" in page.links) == ("create" in scopes[0])
        assert ("/manage/polls/search" in page.actions) == ("read" in scopes[0])


async def test_token_with_vote_alone_finds_the_links_of_a_poll(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    browser = await manage(polls, authority, "polls:vote:PLAT")
    path, find = f"{LIST}/{poll['id']}/links", f"{LIST}/find-links"

    for entered in (poll["id"], f"  {poll['id'].upper()} ", f"{polls.base}{LIST}/{poll['id']}", f"https://x{path}?a=b"):
        assert (await browser.submit(LIST, find, poll=entered)).location == path
    shown = await browser.get(path)
    assert (shown.status, f"{LIST}/{poll['id']}" in shown.links) == (200, False)

    for entered in ("", "Lunch?", f"{poll['id']}0", f"/p/{poll['id']}", polls.token):
        refused = await browser.submit(LIST, find, poll=entered)
        assert (refused.status, refused.location, 'id="poll-error"' in refused.html) == (422, "", True)
        assert "Enter the id of a poll, or the address of its page." in refused.text
        assert polls.token not in refused.html
    reader = await manage(polls, authority, "polls:*:PLAT")
    assert find not in (await reader.get(LIST)).actions


async def test_actions_in_a_row_are_those_of_its_place(polls: Polls, authority: Authority) -> None:
    one = await polls.at_place(workspace="PLAT", content="1").create_poll()
    two = await polls.at_place(workspace="PLAT", content="2").create_poll()
    browser = await manage(polls, authority, "polls:read:PLAT", "polls:update,delete,vote:PLAT/2")

    links = set((await browser.get(LIST)).links)

    assert f"{LIST}/{one['id']}/results" in links
    assert {f"{LIST}/{two['id']}/{page}" for page in ("edit", "delete", "links", "results")} <= links
    assert not {f"{LIST}/{one['id']}/{page}" for page in ("edit", "delete", "links")} & links
