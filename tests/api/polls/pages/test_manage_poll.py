"""The page of one poll, and closing, reopening and deleting it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.page_client import Browser, manage
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

LIST = "/manage/polls"
CLOSED = {"endDate": "2026-01-01", "closePollOnEndDate": True}
LATER = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


async def read(polls: Polls, poll: Any) -> Any:
    """Return the poll as it is now."""
    return (await polls.v1("GET", f"/polls/{poll['id']}")).json


async def vote(polls: Polls, poll: Any, *participants: str) -> None:
    """Cast a ballot of each participant."""
    for participant in participants:
        assert (await polls.vote(poll["id"], participant, "y")).status == 201


async def close(polls: Polls, poll: Any, **settings: Any) -> None:
    """Close a poll at a time in the past."""
    answer = await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {**CLOSED, **settings}})
    assert answer.status == 200, answer.body


@pytest.fixture
async def browser(polls: Polls, authority: Authority) -> Browser:
    """Return a browser that manages polls with a token for everything."""
    return await manage(polls, authority)


class TestPage:
    """What the page of a poll shows."""

    async def test_page_shows_texts_rules_and_history(self, polls: Polls, browser: Browser) -> None:
        settings = {"allowRevote": True, "resultsVisibility": "afterVote", "saveParticipantNames": True}
        poll = await polls.create_poll(description="At one", settings=settings)
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})
        await vote(polls, poll, "ada")

        page = await browser.get(f"{LIST}/{poll['id']}")

        assert page.status == 200
        for text in (
            *("Dinner?", "Open", "At one", "Yes", "No", "PLAT / PLAT-1", "Participants 1", "Votes 1", poll["id"]),
            *("You can vote for one option.", "You can vote again while the poll is open; the last vote counts."),
            *("Your name is stored with your vote.", "Participants see the results after they have voted."),
            *("Changed: title", "Created", "(this one)"),
        ):
            assert text in page.text

    @pytest.mark.parametrize(
        ("actions", "pages"),
        [
            ("read", {"results"}),
            ("read,vote", {"results", "links"}),
            ("read,update", {"results", "edit", "close"}),
            ("read,delete", {"results", "delete"}),
            ("*", {"results", "links", "edit", "close", "delete"}),
        ],
    )
    async def test_page_offers_what_the_token_may_do(
        self, polls: Polls, authority: Authority, actions: str, pages: set[str]
    ) -> None:
        poll = await polls.create_poll()
        path = f"{LIST}/{poll['id']}"
        browser = await manage(polls, authority, f"polls:{actions}:PLAT")

        page = await browser.get(path)

        assert {link for link in page.links if link.startswith(f"{path}/")} == {f"{path}/{each}" for each in pages}
        assert ("History" in page.text) == ("edit" in pages)
        for each in {"edit", "close", "delete"} - pages:
            assert (await browser.get(f"{path}/{each}")).status == 403

    async def test_poll_outside_of_the_scope_does_not_exist(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        browser = await manage(polls, authority, "polls:*:OTHER")

        for each in ("", "/edit", "/close", "/reopen", "/delete"):
            page = await browser.get(f"{LIST}/{poll['id']}{each}")
            assert (page.status, "Lunch?" in page.text) == (404, False)
        unknown = [await browser.get(f"{LIST}/{each}") for each in (uuid4(), "x", "%2e%2e")]
        assert [page.status for page in unknown] == [404, 404, 404]

    async def test_token_without_read_gets_403(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        browser = await manage(polls, authority, "polls:update,delete:PLAT")

        page = await browser.get(f"{LIST}/{poll['id']}")

        assert (page.status, "Missing scope: polls:read:PLAT/PLAT-1." in page.text) == (403, True)
        assert LIST in page.links

    async def test_hidden_numbers_are_hidden(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll(settings={"resultsVisibility": "never"})
        await vote(polls, poll, "ada", "grace")
        browser = await manage(polls, authority, "polls:read,update,delete:PLAT")
        path = f"{LIST}/{poll['id']}"

        pages = [await browser.get(each) for each in (path, f"{path}/close", f"{path}/delete")]

        assert "Participants hidden from this token" in pages[0].text
        assert all("its ballots, whose number this token may not see" in page.text for page in pages[1:])


class TestClose:
    """Closing a poll now."""

    async def test_poll_is_closed_after_a_page_that_says_what_that_does(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        await vote(polls, poll, "ada", "grace")
        path = f"{LIST}/{poll['id']}"

        asked = await browser.get(f"{path}/close")
        done = await browser.follow(await browser.send(asked))

        assert "The poll has 2 ballots." in asked.text
        assert "The poll is closed. It takes no votes, and its results are final." in done.text
        assert (await read(polls, poll))["status"] == "closed"
        assert f"{path}/reopen" in done.links
        assert f"{path}/close" not in done.links
        assert "The poll closed on " in done.text
        assert "The poll closes on " not in done.text
        assert "Closed" in done.text

    async def test_closed_poll_is_not_closed_again(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        form = await browser.get(f"{LIST}/{poll['id']}/close")
        await close(polls, poll)

        shown, sent = await browser.get(f"{LIST}/{poll['id']}/close"), await browser.send(form)

        assert [each.location for each in (shown, sent)] == [f"{LIST}/{poll['id']}?done=was_closed"] * 2
        assert (await read(polls, poll))["settings"]["endDate"] == CLOSED["endDate"]

    async def test_poll_that_was_edited_meanwhile_is_shown_again(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        forms = [await browser.get(f"{LIST}/{poll['id']}/{each}") for each in ("close", "delete")]
        await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})

        for form in forms:
            page = await browser.send(form)
            assert (page.status, "The poll was changed since you opened this page." in page.text) == (412, True)
            assert "Dinner?" in page.text
        assert (await read(polls, poll))["status"] == "open"


class TestReopen:
    """Opening a closed poll again."""

    async def test_poll_is_open_without_an_end(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        await vote(polls, poll, "ada")
        await close(polls, poll)

        asked = await browser.get(f"{LIST}/{poll['id']}/reopen")
        done = await browser.follow(await browser.send(asked))

        after = await read(polls, poll)
        assert "Its results were final" in asked.text
        assert "It has 1 ballot, which stay as they are." in asked.text
        assert "The poll is open again." in done.text
        assert "After people had voted, it was opened again after its end" in done.text
        assert (after["status"], after["settings"]["endDate"]) == ("open", "")
        assert after["settings"]["closePollOnEndDate"] is False

    async def test_poll_with_results_after_the_end_needs_another_end(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings={**CLOSED, "resultsVisibility": "afterClose"})
        path = f"{LIST}/{poll['id']}/reopen"

        without = await browser.submit(path)
        past = await browser.submit(path, end_day="2026-01-02")
        timeless = await browser.submit(path, end_time="18:00")
        invalid = await browser.submit(path, end_day="2026-02-31")
        assert [page.status for page in (without, past, timeless, invalid)] == [422] * 4
        assert "Choose a day: the results are shown after the end, so the poll needs one." in without.text
        assert "Choose a time in the future." in past.text
        assert past.form().fields["end_day"] == ["2026-01-02"]
        assert "Choose the day." in timeless.text
        assert "No such date, time or offset" in invalid.text

        done = await browser.send(past, end_day=LATER, end_time="18:00")

        after = await read(polls, poll)
        assert done.location == f"{LIST}/{poll['id']}?done=reopened"
        assert (after["status"], after["settings"]["endDate"]) == ("open", f"{LATER}T18:00:00Z")

    async def test_open_poll_is_not_opened(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()

        assert (await browser.get(f"{LIST}/{poll['id']}/reopen")).location == f"{LIST}/{poll['id']}?done=was_open"


class TestDelete:
    """Deleting a poll."""

    async def test_poll_is_deleted_after_a_page_that_says_what_that_does(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        await vote(polls, poll, "ada", "grace", "linus")

        asked = await browser.get(f"{LIST}/{poll['id']}/delete")
        done = await browser.send(asked)

        assert "The poll and 3 ballots are deleted, permanently." in asked.text
        assert (done.status, "“Lunch?” was deleted with 3 ballots." in done.text) == (200, True)
        assert {LIST, "/manage/polls/new"} <= set(done.links)
        assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 404
        assert (await browser.send(asked)).status == 404

    async def test_forced_forms_of_a_reader_change_nothing(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        reader = await manage(polls, authority, "polls:read:PLAT")
        form_token = (await reader.get(LIST)).form("/manage/polls/search").fields["form_token"][0]

        for each in ("close", "reopen", "delete"):
            sent = [("form_token", form_token), ("etag", poll["etag"])]
            assert (await reader.post(f"{LIST}/{poll['id']}/{each}", sent)).status == 403

        assert (await read(polls, poll))["etag"] == poll["etag"]


async def test_pages_of_a_session_cannot_be_framed_and_are_not_kept(browser: Browser) -> None:
    page = await browser.get(LIST)

    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert page.headers["Referrer-Policy"] == "no-referrer"


async def test_unknown_page_is_shown_with_a_way_on(polls: Polls) -> None:
    answer = await polls("GET", "/manage/nothing", headers={"Accept": "text/html"})

    assert answer.status == 404
    assert b'href="/manage/polls"' in answer.body
