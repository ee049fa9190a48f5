"""People vote by a link on a page, without scripts: `/p/…`."""

import asyncio
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import hold_rows, wait_for_blocked
from tests.support.stack import Polls
from tests.support.voter import Voter, create_link, key_of, path_of

pytestmark = pytest.mark.shared_services

CLOSED = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
SCORES = [{"id": str(score), "title": str(score)} for score in range(1, 6)]
MANUAL_EXAMPLE = {"1": 8, "2": 12, "3": 11, "4": 15, "5": 10}
"""The votes of the example in Team Voice's manual."""


async def counts(polls: Polls, poll_id: str) -> list[int]:
    """Return the number of votes of each option."""
    return [option["votes"] for option in (await polls.get_results(poll_id))["options"]]


async def create_example_of_manual(polls: Polls, **settings: Any) -> Any:
    """Create a poll with the votes of the manual's example, and return it."""
    poll = await polls.create_poll(title="How was it?", options=SCORES, settings=settings)
    for option, votes in MANUAL_EXAMPLE.items():
        await asyncio.gather(*(polls.vote(poll["id"], f"{option}-{number}", option) for number in range(votes)))
    return poll


async def test_link_leads_to_page_whose_address_has_no_secret(polls: Polls) -> None:
    poll = await polls.create_poll(description="Where to?\nSay it soon.")
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)

    opened = await voter.get(path_of(link))
    shown = await voter.follow(opened)

    assert (opened.status, opened.location) == (303, f"/p/{link['id']}")
    assert (opened.headers["Cache-Control"], opened.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert (shown.status, shown.headers["Referrer-Policy"]) == (200, "no-referrer")
    assert "pgl_" not in shown.html
    for text in (
        "Lunch?",
        "Where to? Say it soon.",
        "Vote for One Option",
        "Yes",
        "No",
        "Names are not stored with votes.",
    ):
        assert text in shown.text
    assert all("HttpOnly" in each and "SameSite=Lax" in each for each in voter.set_cookies)
    assert all(f"Path=/p/{link['id']}" in each for each in voter.set_cookies)
    assert [name for _, name in voter.jar] == ["pollgate_voter"]


async def test_vote_is_counted_once_and_page_says_voted(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)

    voted = await voter.vote(page, "Yes")
    after = await voter.follow(voted)
    again = await voter.vote(page, "No")

    assert (voted.status, voted.location) == (303, f"/p/{link['id']}")
    assert "Voted!" in after.text
    assert "Vote for One Option" not in after.text
    assert again.status == 409
    assert "does not let you change your vote" in again.text
    assert await counts(polls, poll["id"]) == [1, 0]


async def test_form_sent_twice_at_once_casts_one_ballot(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], maxParticipants=1, maxPerAddress=1)
    voter = Voter(polls)
    page = await voter.open(link)

    answers = await asyncio.gather(*(voter.vote(page, "Yes") for _ in range(5)))
    shown = (await polls.v1("GET", f"/polls/{poll['id']}/links/{link['id']}")).json

    assert sorted(answer.status for answer in answers)[0] == 303
    assert await counts(polls, poll["id"]) == [1, 0]
    assert shown["participants"] == 1


async def test_link_opened_again_in_one_browser_is_the_same_participant(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.vote(await voter.open(link), "Yes")

    again = await voter.open(link)

    assert "Voted!" in again.text
    assert "Vote for One Option" not in again.text


async def test_shared_link_makes_each_browser_a_participant(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])

    for title in ("Yes", "Yes", "No"):
        voter = Voter(polls)
        assert (await voter.vote(await voter.open(link), title)).status == 303

    assert await counts(polls, poll["id"]) == [2, 1]
    assert (await polls.v1("GET", f"/polls/{poll['id']}/links/{link['id']}")).json["participants"] == 3


async def test_personal_link_is_one_participant_in_every_browser_and_in_the_api(polls: Polls) -> None:
    poll = await polls.create_poll()
    first, second = [await create_link(polls, poll["id"], "personal", participant="ada") for _ in range(2)]
    phone, desk = Voter(polls), Voter(polls)
    on_phone, at_desk = await phone.open(first), await desk.open(second)

    voted = await phone.vote(on_phone, "Yes")
    repeated = await desk.vote(at_desk, "No")
    by_api = await polls.vote(poll["id"], "ada", "n")

    assert (voted.status, repeated.status, by_api.status) == (303, 409, 409)
    assert await counts(polls, poll["id"]) == [1, 0]
    assert "Max-Age" not in next(each for each in phone.set_cookies if each.startswith("pollgate_voter"))


async def test_names_of_shared_link_are_asked_and_stored_where_poll_keeps_them(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True, "allowComment": True})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)

    without = await voter.vote(page, "Yes", name=" ", comment="After lunch")
    voted = await voter.vote(page, "Yes", name=" Ada Lovelace ", comment="After lunch\r\nor tea")
    after = await voter.follow(voted)
    (ballot,) = (await polls.v1("GET", f"/polls/{poll['id']}/votes")).json["items"]

    assert "Your name is stored with your vote." in page.text
    assert (without.status, voted.status) == (422, 303)
    assert "keeps the names of its participants; give yours" in without.text
    assert without.form(f"/p/{link['id']}").fields["comment"] == ["After lunch"]
    assert (ballot["name"], ballot["comment"], ballot["optionIds"]) == ("Ada Lovelace", "After lunch\nor tea", ["y"])
    assert "Yes Voted!" in after.text
    assert "After lunch or tea" in after.text


async def test_personal_link_stores_the_name_that_was_given(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    link = await create_link(polls, poll["id"], "personal", participant="ada", name="Ada Lovelace")
    voter = Voter(polls)
    page = await voter.open(link)

    await voter.vote(page, "Yes")
    (ballot,) = (await polls.v1("GET", f"/polls/{poll['id']}/votes")).json["items"]

    assert "name" not in page.form().fields
    assert (ballot["participant"], ballot["name"]) == ("ada", "Ada Lovelace")


async def test_vote_without_option_or_with_too_many_returns_422_and_keeps_what_was_typed(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowComment": True})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)

    nothing = await voter.vote(page, comment="<b>Hm</b>")
    both = await voter.vote(page, "Yes", "No")

    assert (nothing.status, both.status) == (422, 422)
    assert "Choose an option." in nothing.text
    assert nothing.form(f"/p/{link['id']}").fields["comment"] == ["<b>Hm</b>"]
    assert "Choose only one option." in both.text
    assert await counts(polls, poll["id"]) == [0, 0]


async def test_several_options_can_be_chosen_where_poll_allows_it(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowSelectionOfMultipleOptions": True})
    voter = Voter(polls)
    page = await voter.open(await create_link(polls, poll["id"]))

    voted = await voter.vote(page, "Yes", "No")

    assert "Vote for One or More Options" in page.text
    assert voted.status == 303
    assert await counts(polls, poll["id"]) == [1, 1]


async def test_vote_can_be_changed_and_withdrawn_where_poll_allows_it(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    link = await create_link(polls, poll["id"], maxParticipants=1)
    voter = Voter(polls)
    page = await voter.follow(await voter.vote(await voter.open(link), "Yes"))

    changed = await voter.follow(await voter.vote(page, "No"))
    after_change = await counts(polls, poll["id"])
    withdrawn = await voter.follow(await voter.withdraw(link))
    after_withdrawal = await counts(polls, poll["id"])
    await voter.vote(withdrawn, "Yes")

    assert "Change my vote" in page.text
    assert "Voted!" in changed.text
    assert after_change == [0, 1]
    assert "Voted!" not in withdrawn.text
    assert "Your vote is withdrawn. You can vote again." in withdrawn.text
    assert after_withdrawal == [0, 0]
    assert await counts(polls, poll["id"]) == [1, 0]
    assert (await polls.v1("GET", f"/polls/{poll['id']}/links/{link['id']}")).json["participants"] == 1


async def test_withdrawn_vote_of_poll_with_one_ballot_cannot_be_cast_again(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    first = await voter.open(link)
    await voter.vote(first, "Yes")

    asked = await voter.get(f"/p/{link['id']}/withdraw")
    withdrawn = await voter.follow(await voter.withdraw(link))
    again = await voter.vote(first, "Yes")

    assert "This poll does not let you vote again after that." in asked.text
    assert "You have withdrawn your vote" in withdrawn.text
    assert again.status == 409
    assert await counts(polls, poll["id"]) == [0, 0]


async def test_closed_poll_says_so_and_takes_no_vote(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    await polls.v1("PATCH", f"/polls/{poll['id']}", {**CLOSED, "title": "Lunch?"})

    fields = [*page.form(f"/p/{link['id']}").filled({"option": key_of(page, "Yes"), "version": "2"})]
    refused = await voter.post(f"/p/{link['id']}", fields)
    shown = await voter.get(f"/p/{link['id']}?results=table")

    assert refused.status == 409
    assert "The poll has closed, so your vote was not counted." in refused.text
    assert "This poll is closed. It ended 1 Jan 2026, 23:59 UTC." in shown.text
    assert "Final results" in shown.text
    assert "Vote for One Option" not in shown.text


async def test_closed_poll_says_that_a_vote_can_no_longer_be_withdrawn(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.vote(await voter.open(link), "Yes")
    asked = await voter.get(f"/p/{link['id']}/withdraw")
    await polls.v1("PATCH", f"/polls/{poll['id']}", CLOSED)

    refused = await voter.send(asked, f"/p/{link['id']}/withdraw")

    assert refused.status == 409
    assert "The poll has closed, so your vote can no longer be withdrawn." in refused.text
    assert "was not counted" not in refused.text
    assert await counts(polls, poll["id"]) == [1, 0]


@pytest.mark.parametrize("path", ["", "/withdraw"])
async def test_closed_poll_refuses_a_program_with_a_problem(polls: Polls, path: str) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.vote(await voter.open(link), "Yes")
    page = await voter.get(f"/p/{link['id']}{path}")
    await polls.v1("PATCH", f"/polls/{poll['id']}", CLOSED)
    voter.accept_json()

    refused = await voter.send(page, f"/p/{link['id']}{path}")

    assert refused.status == 409
    assert refused.headers["Content-Type"].startswith("application/problem+json")


async def test_vote_on_page_from_before_an_edit_is_not_counted_and_shows_the_poll_again(polls: Polls) -> None:
    poll = await polls.create_poll()
    voter = Voter(polls)
    page = await voter.open(await create_link(polls, poll["id"]))
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})

    refused = await voter.vote(page, "Yes")
    voted = await voter.vote(refused, "Yes")

    assert refused.status == 409
    assert "The poll was edited in the meantime" in refused.text
    assert "Dinner?" in refused.text
    assert voted.status == 303


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        ({"settings": {"saveParticipantNames": True}}, "Your name is stored with your vote."),
        ({"options": [{"id": "y", "title": "No"}, {"id": "n", "title": "Yes"}]}, "Names are not stored with votes."),
    ],
    ids=["names", "options"],
)
async def test_vote_that_waits_while_the_poll_is_edited_is_not_counted(
    polls: Polls, database: ClonedDatabase, edit: Any, shown: str
) -> None:
    """The participant has voted for what the page said; the vote must not count under what the edit makes of it."""
    poll = await polls.create_poll()
    voter = Voter(polls)
    page = await voter.open(await create_link(polls, poll["id"], "personal", participant="ada"))
    async with hold_rows(database, "polls.poll", waiting=2):
        editing = asyncio.create_task(polls.v1("PATCH", f"/polls/{poll['id']}", edit))
        await wait_for_blocked(database, 1)
        voting = asyncio.create_task(voter.vote(page, "Yes"))
    edited, refused = await editing, await voting

    assert edited.status == 200
    assert refused.status == 409
    assert "The poll was edited in the meantime" in refused.text
    assert shown in refused.text
    assert await counts(polls, poll["id"]) == [0, 0]


async def test_edit_after_votes_is_shown_to_voters(polls: Polls) -> None:
    poll = await polls.create_poll()
    await polls.vote(poll["id"], "ada", "y")
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"}, allow="changeTitle")

    page = await Voter(polls).open(await create_link(polls, poll["id"]))

    assert "This poll was changed after people had voted: the question was changed." in page.text


async def test_results_are_those_of_the_manual_to_the_letter(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await create_example_of_manual(polls)
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    assert "Show results" in page.text
    assert "Total" not in page.text

    for view, first in (("table", "1 8 14.3%"), ("bar", "1 8 votes, 14.3%"), ("pie", "1 1 8 votes, 14.3%")):
        with subtests.test(view):
            shown = await voter.get(f"/p/{link['id']}?results={view}")

            assert first in shown.text
            assert "26.8%" in shown.text
            assert "Total: 56 participants, 56 votes" in shown.text
            assert "Average: 3.1" in shown.text

    by_votes = await voter.get(f"/p/{link['id']}?results=table&sort=votes")
    assert "Percentage 4 15 26.8% 2 12 21.4%" in by_votes.text


async def test_hidden_numbers_are_in_no_view_and_not_in_its_shapes(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll(settings={"hideAbsoluteNumbers": True})
    for number in range(3):
        await polls.vote(poll["id"], str(number), "y" if number else "n")
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.open(link)

    for view in ("table", "table&sort=votes", "bar", "pie"):
        with subtests.test(view):
            shown = await voter.get(f"/p/{link['id']}?results={view}")

            assert "66.7%" in shown.text
            assert "The numbers of votes are hidden." in shown.text
            assert "votes," not in shown.text
            assert "participant" not in shown.text
            assert "66.66" not in shown.html


async def test_withheld_results_say_why(polls: Polls, subtests: pytest.Subtests) -> None:
    end = {"endDate": "2999-01-01", "closePollOnEndDate": True}
    for settings, reason in (
        ({"resultsVisibility": "afterVote"}, "Vote to see the results."),
        ({"resultsVisibility": "afterClose", **end}, "The results are shown when the poll closes, 1 Jan 2999"),
        ({"resultsVisibility": "never"}, "The results of this poll are not shown here."),
    ):
        with subtests.test(**settings):
            poll = await polls.create_poll(settings=settings)
            await polls.vote(poll["id"], "ada", "y")
            link = await create_link(polls, poll["id"])
            voter = Voter(polls)
            await voter.open(link)

            shown = await voter.get(f"/p/{link['id']}?results=table")

            assert reason in shown.text
            assert "Show results" not in shown.text
            assert "100.0%" not in shown.text


async def test_results_after_vote_are_shown_to_who_has_voted(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "afterVote"})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.follow(await voter.vote(await voter.open(link), "Yes"))

    shown = await voter.get(f"/p/{link['id']}?results=table")

    assert "Total: 1 participant, 1 vote" in shown.text


async def test_view_of_results_stays_after_voting(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.open(link)
    page = await voter.get(f"/p/{link['id']}?results=pie")

    voted = await voter.vote(page, "Yes")

    assert voted.location == f"/p/{link['id']}?results=pie"


async def test_page_without_link_returns_403_and_shows_nothing_of_the_poll(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])

    refused = await Voter(polls).get(f"/p/{link['id']}")

    assert refused.status == 403
    assert "Open your voting link" in refused.text
    assert "Lunch?" not in refused.html


async def test_link_that_does_not_work_returns_404_with_the_same_words(polls: Polls, subtests: pytest.Subtests) -> None:
    poll, deleted = await polls.create_poll(), await polls.create_poll()
    revoked, gone = await create_link(polls, poll["id"]), await create_link(polls, deleted["id"])
    await polls.v1("DELETE", f"/polls/{poll['id']}/links/{revoked['id']}")
    await polls.v1("DELETE", f"/polls/{deleted['id']}")
    unknown = path_of(revoked)[:-6] + "000000"
    texts = set()
    for path in (path_of(revoked), path_of(gone), unknown, "/p/pgl_x", "/p/x", f"/p/{'x' * 300}", "/p/%00"):
        with subtests.test(path[:20]):
            answer = await Voter(polls).get(path)

            assert answer.status == 404
            texts.add(answer.text.partition("Status 404")[0])
    assert len(texts) == 1
    assert "This voting link does not work" in texts.pop()


async def test_withdrawn_vote_of_poll_with_results_after_vote_asks_for_nothing_that_is_impossible(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "afterVote"})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.vote(await voter.open(link), "Yes")

    withdrawn = await voter.follow(await voter.withdraw(link))

    assert "The results are shown only to people who have voted." in withdrawn.text
    assert "Vote to see the results." not in withdrawn.text


async def test_page_to_withdraw_leads_to_the_poll_where_there_is_nothing_to_withdraw(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.open(link)

    asked = await voter.get(f"/p/{link['id']}/withdraw")

    assert (asked.status, asked.location) == (303, f"/p/{link['id']}")
    assert (await Voter(polls).get(f"/p/{link['id']}/withdraw")).status == 404


async def test_rules_of_a_poll_are_shown_before_the_vote(polls: Polls) -> None:
    for settings, rules in (
        ({}, ("You can vote once.", "Names are not stored with votes.")),
        ({"allowRevote": True}, ("You can vote again while the poll is open; the last vote counts.",)),
        ({"saveParticipantNames": True}, ("Your name is stored with your vote.",)),
        ({"hideAbsoluteNumbers": True}, ("Only percentages are shown, no numbers of votes.",)),
    ):
        poll = await polls.create_poll(settings=settings)

        page = await Voter(polls).open(await create_link(polls, poll["id"]))

        for rule in rules:
            assert rule in page.text


async def test_full_link_says_so_before_anything_is_typed(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    link = await create_link(polls, poll["id"], maxParticipants=1)
    first = Voter(polls)
    await first.vote(await first.open(link), "Yes", name="Ada")

    page = await Voter(polls).open(link)

    assert "This link takes no more votes: it has reached its limit of participants." in page.text
    assert page.forms == []


async def test_personal_link_says_whose_it_is(polls: Polls) -> None:
    named = await polls.create_poll(settings={"saveParticipantNames": True})
    anonymous = await polls.create_poll()
    for poll, expected in ((named, "This link is for Ada Lovelace."), (anonymous, "This link is for ada.")):
        link = await create_link(polls, poll["id"], "personal", participant="ada", name="Ada Lovelace")

        assert expected in (await Voter(polls).open(link)).text


async def test_address_without_a_link_asks_for_one(polls: Polls) -> None:
    for path in ("/p", "/p/"):
        page = await Voter(polls).get(path)

        assert (page.status, "Open your voting link" in page.text) == (403, True)


async def test_template_words_are_plural_only_for_several(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowSelectionOfMultipleOptions": True})
    await polls.vote(poll["id"], "ada", "y", "n")
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.open(link)

    shown = await voter.get(f"/p/{link['id']}?results=bar")

    assert "Total: 1 participant, 2 votes" in shown.text
    assert "Yes 1 vote, 50.0%" in shown.text
