"""Results on pages: as far as the token may see them, as CSV, with comments and ballots, and live."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from services.polls.pages import manage_live
from services.polls.pages.manage_results import ROWS
from tests.support.databases import ClonedDatabase
from tests.support.page_client import Browser, manage
from tests.support.postgres import fetch
from tests.support.sse_client import Follower
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

LIST = "/manage/polls"
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
DAYS = [{"id": day[:3].lower(), "title": day} for day in ("Monday", "Tuesday", "Wednesday")]
OPEN_TO_ALL = {"saveParticipantNames": True, "allowComment": True}


def path_to(poll: Any, page: str = "results") -> str:
    """Return the path of a page about the results of a poll."""
    return f"{LIST}/{poll['id']}/{page}"


async def create_voted_poll(polls: Polls, **settings: Any) -> Any:
    """Create a poll about three days with three votes: two for Monday, one for Tuesday."""
    poll = await polls.create_poll(title="Which day?", options=DAYS, settings=settings)
    for participant, day in (("ada", "mon"), ("bob", "tue"), ("grace", "mon")):
        assert (await polls.vote(poll["id"], participant, day)).status == 201
    return poll


@asynccontextmanager
async def follow(polls: Polls, browser: Browser, poll: Any, **headers: str) -> AsyncGenerator[Follower, None]:
    """Follow the results as the page does."""
    url = f"{polls.base}{path_to(poll, 'results/events')}?results=bar"
    async with polls.session.get(url, headers={"Cookie": browser.cookie, **headers}) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield Follower(response)


@pytest.fixture
async def browser(polls: Polls, authority: Authority) -> Browser:
    """Return a browser that manages polls with a token for everything."""
    return await manage(polls, authority)


class TestAccess:
    """Which tokens may open the pages."""

    @pytest.mark.parametrize(
        ("actions", "statuses"),
        [
            ("read", [200, 200, 403, 403]),
            ("results", [200, 200, 200, 200]),
            ("read,results", [200, 200, 200, 200]),
            ("create,update,delete,vote", [403, 403, 403, 403]),
        ],
    )
    async def test_page_needs_an_action(
        self, polls: Polls, authority: Authority, actions: str, statuses: list[int]
    ) -> None:
        poll = await polls.create_poll()
        browser = await manage(polls, authority, f"polls:{actions}:PLAT")

        pages = [await browser.get(path_to(poll, page)) for page in ("results", "results/csv", "comments", "ballots")]

        assert [page.status for page in pages] == statuses
        offered = {path_to(poll, "comments"), path_to(poll, "ballots")} & set(pages[0].links)
        assert bool(offered) == ("results" in actions)
        assert (f"{LIST}/{poll['id']}" in pages[0].links) == ("read" in actions)
        assert ("Lunch?" in pages[0].text) == ("read" in actions)

    async def test_poll_outside_of_the_scope_does_not_exist(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        browser = await manage(polls, authority, "polls:*:OTHER")

        for page in ("results", "results/csv", "results/events", "comments", "ballots"):
            assert (await browser.get(path_to(poll, page))).status == 404


class TestResults:
    """The page with results."""

    async def test_views_show_the_numbers_of_the_api(self, polls: Polls, browser: Browser) -> None:
        poll = await create_voted_poll(polls)

        table, bars, pie = [await browser.get(path_to(poll), results=view) for view in ("table", "bar", "pie")]
        by_votes = await browser.get(path_to(poll), results="table", sort="votes")

        results = await polls.get_results(poll["id"])
        assert [(each["title"], each["votes"], each["percentage"]) for each in results["options"]] == [
            ("Monday", 2, 66.7),
            ("Tuesday", 1, 33.3),
            ("Wednesday", 0, 0.0),
        ]
        assert "Option Votes Percentage Monday 2 66.7% Tuesday 1 33.3% Wednesday 0 0.0%" in table.text
        assert "Monday 2 votes, 66.7% Tuesday 1 vote, 33.3% Wednesday 0 votes, 0.0%" in bars.text
        assert bars.html.count("<rect") == 3
        assert pie.html.count("<path") == 2
        assert 'aria-sort="descending"' in by_votes.html
        for page in (table, bars, pie, by_votes):
            assert "Total: 3 participants, 3 votes" in page.text
            assert "Everyone who can see the poll sees its results at any time." in page.text

    async def test_average_of_scored_options_is_shown(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(options=[{"id": str(n), "title": str(n)} for n in (1, 2, 3)])
        await polls.vote(poll["id"], "ada", "3")
        await polls.vote(poll["id"], "bob", "2")

        assert "Average: 2.5" in (await browser.get(path_to(poll))).text

    async def test_closed_poll_has_final_results(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})

        assert "Final results Closed" in (await browser.get(path_to(poll))).text

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"resultsVisibility": "afterVote"}, "only participants who have voted see them"),
            ({"resultsVisibility": "never"}, "no participant sees them"),
            (
                {"resultsVisibility": "afterClose", "endDate": "2999-12-24", "closePollOnEndDate": True},
                "withheld until the poll closes, 24 Dec 2999, 23:59 UTC.",
            ),
        ],
        ids=["after vote", "never", "after close"],
    )
    async def test_withheld_results_say_why_and_who_sees_them(
        self, polls: Polls, authority: Authority, browser: Browser, settings: dict[str, Any], reason: str
    ) -> None:
        poll = await create_voted_poll(polls, **settings)
        reader = await manage(polls, authority, "polls:read:PLAT")

        withheld, shown = await reader.get(path_to(poll)), await browser.get(path_to(poll))

        assert reason in withheld.text
        assert "A token with the action results sees them now." in withheld.text
        for text in ("66.7%", "3 votes", "Download CSV", "data-live"):
            assert text not in withheld.html
        assert "Total: 3 participants, 3 votes" in shown.text
        assert "This token sees everything." in shown.text

    async def test_hidden_numbers_are_hidden_and_said_to_be(
        self, polls: Polls, authority: Authority, browser: Browser
    ) -> None:
        poll = await create_voted_poll(polls, hideAbsoluteNumbers=True)
        reader = await manage(polls, authority, "polls:read:PLAT")

        withheld, shown = await reader.get(path_to(poll)), await browser.get(path_to(poll))

        assert "Option Percentage Monday 66.7% Tuesday 33.3%" in withheld.text
        assert "The numbers of votes are hidden." in withheld.text
        assert "the poll shows percentages only" in withheld.text
        assert "Only percentages are shown, no numbers of votes." in shown.text
        assert "Total: 3 participants, 3 votes" in shown.text

    async def test_csv_is_byte_for_byte_that_of_the_api(self, polls: Polls, authority: Authority) -> None:
        options = [{"id": "a", "title": "=1+1"}, {"id": "b", "title": "Käse; Brot"}]
        poll = await polls.create_poll(options=options, settings={"hideAbsoluteNumbers": True})
        await polls.vote(poll["id"], "ada", "a")
        for scopes in ((), ("polls:read:PLAT",)):
            token = (await authority.issue(*scopes))["token"] if scopes else polls.token
            browser = await manage(polls.with_token(token), authority)
            page = await browser.get(path_to(poll))
            for path, bom in ((path_to(poll, "results/csv"), False), (path_to(poll, "results/csv?bom=true"), True)):
                assert path in page.links
                sent = await browser.get(path)
                query = "?format=csv&bom=true" if bom else "?format=csv"
                by_api = await polls.with_token(token).v1("GET", f"/polls/{poll['id']}/results{query}")
                assert sent.html.encode() == by_api.body
                assert sent.headers["Content-Type"] == by_api.headers["Content-Type"] == "text/csv; charset=utf-8"
                assert sent.headers["Content-Disposition"] == f'attachment; filename="results-{poll["id"]}.csv"'
                assert sent.html.startswith("\ufeff") == bom
                assert "'=1+1" in sent.html

    async def test_markup_in_texts_is_shown_as_text(self, polls: Polls, browser: Browser) -> None:
        options = [{"id": "a", "title": XSS}, {"id": "b", "title": "No"}]
        poll = await polls.create_poll(title=XSS, options=options, settings=OPEN_TO_ALL)
        await polls.vote(poll["id"], XSS, "a", name=XSS, comment=XSS)

        pages = [await browser.get(path_to(poll, page)) for page in ("results", "comments", "ballots")]
        async with follow(polls, browser, poll) as follower:
            live = await follower.next()

        for page in pages:
            assert XSS in page.text
            assert "<script>alert" not in page.html
        assert "<script>alert" not in live.data["html"]
        assert pages[2].text.count(XSS) == 6


class TestComments:
    """The comments."""

    async def test_comments_are_counted_without_participants(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=OPEN_TO_ALL)
        for participant, comment in (("ada", "Fine"), ("bob", "Fine"), ("grace", "Not so fine")):
            await polls.vote(poll["id"], participant, "y", comment=comment)

        page = await browser.get(path_to(poll, "comments"))

        assert "Fine 2" in page.text
        assert "Not so fine 1" in page.text
        assert not [name for name in ("ada", "bob", "grace") if name in page.text]

    async def test_comments_have_pages(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=OPEN_TO_ALL)
        for number in range(ROWS + 1):
            await polls.vote(poll["id"], f"p{number}", "y", comment=f"comment-{number}-")

        first = await browser.get(path_to(poll, "comments"))
        (following,) = (link for link in first.links if "cursor=" in link)
        second = await browser.get(following)

        shown = [[n for n in range(ROWS + 1) if f"comment-{n}-" in page.text] for page in (first, second)]
        assert [len(each) for each in shown] == [ROWS, 1]
        assert sorted(shown[0] + shown[1]) == list(range(ROWS + 1))
        assert path_to(poll, "comments") in second.links

    async def test_poll_without_comments_says_why(self, polls: Polls, browser: Browser) -> None:
        without, allowed = await polls.create_poll(), await polls.create_poll(settings={"allowComment": True})

        assert "does not allow comments" in (await browser.get(path_to(without, "comments"))).text
        assert "No one has written a comment yet." in (await browser.get(path_to(allowed, "comments"))).text


class TestBallots:
    """The ballots of a poll that keeps names."""

    async def test_ballots_are_listed_with_choice_comment_and_time(self, polls: Polls, browser: Browser) -> None:
        settings = {**OPEN_TO_ALL, "allowSelectionOfMultipleOptions": True}
        poll = await polls.create_poll(options=DAYS, settings=settings)
        await polls.vote(poll["id"], "grace", "tue")
        await polls.vote(poll["id"], "ada", "mon", "wed", name="Ada Lovelace", comment="Not\nearly")

        page = await browser.get(path_to(poll, "ballots"))

        assert "ada Ada Lovelace Monday, Wednesday Not early" in page.text
        assert page.text.index("ada Ada") < page.text.index("grace")
        assert page.html.count("<time datetime=") == 2

    async def test_ballots_have_pages(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=OPEN_TO_ALL)
        for number in range(ROWS + 1):
            await polls.vote(poll["id"], f"person {number:02}", "y")

        first = await browser.get(path_to(poll, "ballots"))
        (following,) = (link for link in first.links if "cursor=" in link)
        second = await browser.get(following)

        assert (f"person {ROWS - 1}" in first.text, f"person {ROWS}" in first.text) == (True, False)
        assert (f"person {ROWS - 1}" in second.text, f"person {ROWS}" in second.text) == (False, True)
        assert (await browser.get(path_to(poll, "ballots"), cursor="x")).status == 400

    async def test_poll_without_names_says_why_there_are_none(self, polls: Polls, browser: Browser) -> None:
        poll = await create_voted_poll(polls)

        page = await browser.get(path_to(poll, "ballots"))

        assert page.status == 200
        assert "This poll stores neither names nor who has voted for what" in page.text
        assert "The voting page says so to everyone who votes." in page.text
        assert not [name for name in ("ada", "bob", "grace") if name in page.text]


class TestLive:
    """The stream of results."""

    async def test_stream_sends_results_now_and_after_each_vote(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        async with follow(polls, browser, poll) as follower:
            first = await follower.next()
            await polls.vote(poll["id"], "ada", "y")
            second = await follower.next()
        async with follow(polls, browser, poll, **{"Last-Event-ID": second.id}) as follower:
            await polls.v1("PATCH", f"/polls/{poll['id']}", {"description": "At one"})
            edited = await follower.next()

        assert '<rect width="0"' in first.data["html"]
        assert "Total: 1 participant, 1 vote" in second.data["html"]
        assert (first.data["etag"], edited.data["etag"]) == (poll["etag"], '"2"')

    async def test_stream_shows_what_the_token_may_see(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll(settings={"resultsVisibility": "never"})
        for actions, is_shown in (("read", False), ("results", True)):
            browser = await manage(polls, authority, f"polls:{actions}:PLAT")
            async with follow(polls, browser, poll) as follower:
                assert bool((await follower.next()).data["html"]) == is_shown

    async def test_stream_ends_the_moment_the_token_is_revoked(self, polls: Polls, authority: Authority) -> None:
        poll, issued = await polls.create_poll(), await authority.issue("polls:read:PLAT")
        browser = await manage(polls.with_token(issued["token"]), authority)
        async with follow(polls, browser, poll) as follower:
            await follower.next()
            await authority.revoke(issued["id"])
            await polls.vote(poll["id"], "ada", "y")
            with pytest.raises(EOFError):
                await follower.next(within_s=2)

        answer = await browser.get(path_to(poll, "results/events"))
        assert answer.status == 204
        assert (await browser.get(path_to(poll))).location.startswith("/manage/sign-in")

    async def test_stream_ends_when_the_token_loses_the_action(self, polls: Polls, authority: Authority) -> None:
        poll, issued = await polls.create_poll(), await authority.issue("polls:read,results:PLAT")
        browser = await manage(polls.with_token(issued["token"]), authority)
        async with follow(polls, browser, poll) as follower:
            await follower.next()
            changed = await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT"]})
            assert changed.status == 200, changed.body
            with pytest.raises(EOFError):
                await follower.next(within_s=2)

    @pytest.mark.parametrize("how", ["signed out", "idle"])
    async def test_stream_ends_with_its_session(
        self,
        polls: Polls,
        browser: Browser,
        database: ClonedDatabase,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
    ) -> None:
        monkeypatch.setattr(manage_live, "SESSION_CHECK_S", 0.0)
        poll = await polls.create_poll()
        async with follow(polls, browser, poll) as follower:
            await follower.next()
            if how == "signed out":
                await browser.copy().submit(LIST, "/manage/sign-out")
            else:
                age = "UPDATE polls.session SET last_seen_at = now() - $1::interval"
                await fetch(database.admin_url, age, timedelta(minutes=31))
            await polls.vote(poll["id"], "ada", "y")
            with pytest.raises(EOFError):
                await follower.next(within_s=5)

        assert (await browser.get(path_to(poll, "results/events"))).status == 204

    async def test_stream_says_that_the_poll_was_deleted(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        async with follow(polls, browser, poll) as follower:
            await follower.next()
            await polls.v1("DELETE", f"/polls/{poll['id']}")
            assert (await follower.next(within_s=5)).name == "ended"

    async def test_stream_without_a_session_returns_204(self, polls: Polls) -> None:
        poll = await polls.create_poll()

        assert (await Browser(polls).get(path_to(poll, "results/events"))).status == 204

    @pytest.mark.parametrize("polls_settings", [{"event_streams_per_token": 1}])
    async def test_token_has_a_maximum_number_of_streams(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        async with follow(polls, browser, poll) as follower:
            await follower.next()

            assert (await browser.get(path_to(poll, "results/events"))).status == 429
