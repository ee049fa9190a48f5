"""Editing a poll on its page: warnings about votes and promises, and edits of several people at once."""

from typing import Any

import pytest

from tests.support.page_client import Browser, Page, manage
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

THREE = [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}, {"id": "m", "title": "Maybe"}]
CLOSED = {"endDate": "2026-01-01", "closePollOnEndDate": True}


def edit_path(poll: Any) -> str:
    """Return the path of the form for a poll."""
    return f"/manage/polls/{poll['id']}/edit"


def boxes(page: Page) -> list[str]:
    """Return the consequences that the form asks for."""
    return [
        each
        for each in ("dropVotes", "revealResults", "reopen", "changeTitle", "renameOptions", "saveNames", "eraseNames")
        if f'id="allow-{each}"' in page.html
    ]


async def read(polls: Polls, poll: Any) -> Any:
    """Return the poll as it is now."""
    return (await polls.v1("GET", f"/polls/{poll['id']}")).json


async def create_voted(polls: Polls, **fields: Any) -> Any:
    """Create a poll with three options, two votes for the first and one for the second."""
    poll = await polls.create_poll(options=THREE, **fields)
    for participant, option in (("ada", "y"), ("grace", "y"), ("linus", "n")):
        assert (await polls.vote(poll["id"], participant, option)).status == 201
    return poll


@pytest.fixture
async def browser(polls: Polls, authority: Authority) -> Browser:
    """Return a browser that manages polls with a token for everything."""
    return await manage(polls, authority)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"description": "one\ntwo\n\nthree", "settings": {"endDate": "2099-12-24"}},
        {"settings": {"endDate": "2099-12-24T18:30:15.123456+09:00", "closePollOnEndDate": True}},
        {"settings": {"endDate": "2099-12-24T18:30:00Z", "resultsVisibility": "never", "allowRevote": True}},
        {"options": [{"id": "b", "title": "B", "order": 30}, {"id": "a\r\n/%", "title": "A", "order": 20}]},
        {"title": "  Lunch?  ", "options": [{"id": " 1 ", "title": "Ü"}]},
    ],
    ids=["usual", "lines and a day", "exact end", "end in UTC", "order and odd ids", "blanks"],
)
async def test_form_that_is_sent_as_it_was_changes_nothing(polls: Polls, browser: Browser, fields: Any) -> None:
    poll = await polls.create_poll(**fields)

    page = await browser.submit(edit_path(poll))

    assert page.location == f"/manage/polls/{poll['id']}?done=unchanged"
    assert "Nothing was different, so nothing was changed." in (await browser.follow(page)).text
    assert (await read(polls, poll))["etag"] == poll["etag"]


async def test_edit_before_votes_changes_everything(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll(options=THREE)

    page = await browser.submit(edit_path(poll), add_options="true")
    page = await browser.send(page, remove_option="0")
    page = await browser.send(
        page,
        title="Dinner?",
        description="At eight",
        option_title=["Never", "Maybe", "Later", "", ""],
        allow_revote="true",
        end_day="2099-12-24",
    )

    after = await read(polls, poll)
    assert page.location == f"/manage/polls/{poll['id']}?done=changed"
    assert (after["title"], after["description"]) == ("Dinner?", "At eight")
    assert after["options"] == [
        {"id": "n", "title": "Never", "order": 0},
        {"id": "m", "title": "Maybe", "order": 1},
        {"id": "1", "title": "Later", "order": 2},
    ]
    assert (after["settings"]["allowRevote"], after["settings"]["endDate"]) == (True, "2099-12-24")


async def test_errors_are_next_to_their_fields(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll(options=[{**THREE[0], "order": 9}, {**THREE[1], "order": 3}])

    typed = ["", "x" * 256]

    page = await browser.submit(edit_path(poll), title="", option_title=typed, results_visibility="afterClose")

    assert page.status == 422
    for error in ("Enter a title.", "Enter a title, or remove the option.", "This has 256 characters"):
        assert error in page.text
    assert page.html.index('id="option-0-error"') < page.html.index('id="option-1-error"')
    assert page.form().fields["option_title"] == typed
    assert (await read(polls, poll))["etag"] == poll["etag"]


async def test_removed_option_with_votes_is_asked_for_with_its_number(polls: Polls, browser: Browser) -> None:
    poll = await create_voted(polls)
    page = await browser.submit(edit_path(poll), remove_option="0")

    asked = await browser.send(page, description="kept")

    assert (asked.status, boxes(asked)) == (409, ["dropVotes"])
    assert "3 people have voted" in asked.text
    assert "“Yes”: 2 votes" in asked.text
    assert asked.form().fields["description"] == ["kept"]
    assert (await read(polls, poll))["etag"] == poll["etag"]

    done = await browser.send(asked, allow="dropVotes")

    assert done.status == 200
    assert "2 votes went with the removed options, and 2 ballots that had no other option." in done.text
    assert f'data-then="/manage/polls/{poll["id"]}"' in done.html
    assert [option["id"] for option in (await read(polls, poll))["options"]] == ["n", "m"]
    assert (await polls.get_results(poll["id"]))["votes"] == 1


async def test_vote_for_several_options_leaves_its_ballot(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll(options=THREE, settings={"allowSelectionOfMultipleOptions": True})
    assert (await polls.vote(poll["id"], "ada", "y", "n")).status == 201
    page = await browser.submit(edit_path(poll), remove_option="0")

    done = await browser.send(await browser.send(page), allow="dropVotes")

    assert "1 vote went with the removed options." in done.text


async def test_broken_promises_are_asked_for_one_by_one(polls: Polls, browser: Browser) -> None:
    poll = await create_voted(polls, settings={"resultsVisibility": "never"})
    page = await browser.submit(edit_path(poll), remove_option="1")
    typed = {
        "title": "Dinner?",
        "option_title": ["Sure", "Maybe"],
        "results_visibility": "alwaysPublic",
        "save_participant_names": "true",
    }

    asked = await browser.send(page, **typed)

    every = ["dropVotes", "revealResults", "changeTitle", "renameOptions", "saveNames"]
    assert (asked.status, boxes(asked)) == (409, every)
    for text in ("“No”: 1 vote", "It was “Lunch?”.", "“Yes” becomes “Sure”"):
        assert text in asked.text

    again = await browser.send(asked, allow=every[:-1])

    assert (again.status, boxes(again)) == (409, every)
    assert again.form().fields["allow"] == every[:-1]
    assert {name: again.form().fields[name] for name in ("title", "option_title")} == {
        "title": ["Dinner?"],
        "option_title": ["Sure", "Maybe"],
    }

    done = await browser.send(again, allow=every)

    assert (done.status, "Everyone who reads the poll sees that it was changed" in done.text) == (200, True)
    assert {each["consequence"] for each in (await read(polls, poll))["changedAfterVotes"]} == set(every)
    shown = await browser.get(f"/manage/polls/{poll['id']}")
    assert "After people had voted, the question was changed" in shown.text


async def test_numbers_are_hidden_from_token_that_may_not_see_them(polls: Polls, authority: Authority) -> None:
    poll = await create_voted(polls, settings={"resultsVisibility": "never"})
    browser = await manage(polls, authority, "polls:read,update:PLAT")
    page = await browser.submit(edit_path(poll), remove_option="2")

    asked = await browser.send(page)
    done = await browser.send(asked, allow="dropVotes")

    assert (asked.status, boxes(asked)) == (409, ["dropVotes"])
    assert "“Maybe”: perhaps some votes" in asked.text
    assert "People have voted, and this edit" in asked.text
    assert done.status == 200
    assert "2 votes" not in done.text + asked.text


async def test_stored_names_are_erased_after_a_question_with_their_number(polls: Polls, browser: Browser) -> None:
    poll = await create_voted(polls, settings={"saveParticipantNames": True})

    asked = await browser.submit(edit_path(poll), save_participant_names=None)

    assert (asked.status, boxes(asked)) == (409, ["eraseNames"])
    assert "Erase the names of 3 ballots permanently" in asked.text
    assert "Everyone who reads the poll will see it." not in asked.text
    assert (await read(polls, poll))["etag"] == poll["etag"]

    done = await browser.send(asked, allow="eraseNames")

    assert "The names were erased from 3 ballots." in done.text
    assert (await polls.v1("GET", f"/polls/{poll['id']}/votes/ada")).json["name"] is None


async def test_erasure_of_names_is_asked_for_with_all_else(polls: Polls, browser: Browser) -> None:
    poll = await create_voted(polls, settings={"saveParticipantNames": True})
    typed = {"title": "Dinner?", "save_participant_names": None}

    asked = await browser.submit(edit_path(poll), **typed)
    title_only = await browser.send(asked, allow="changeTitle")
    names_only = await browser.send(asked, allow="eraseNames")

    for page, ticked in ((asked, None), (title_only, ["changeTitle"]), (names_only, ["eraseNames"])):
        assert (page.status, boxes(page)) == (409, ["changeTitle", "eraseNames"])
        assert page.form().fields.get("allow") == ticked
    assert (await read(polls, poll))["etag"] == poll["etag"]
    assert (await browser.send(asked, allow=["changeTitle", "eraseNames"])).status == 200
    assert (await read(polls, poll))["title"] == "Dinner?"


async def test_names_are_turned_off_without_a_question_if_none_is_stored(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})

    page = await browser.submit(edit_path(poll), save_participant_names=None)

    assert page.location == f"/manage/polls/{poll['id']}?done=changed"


async def test_erasure_of_names_is_asked_for_without_a_number_that_is_hidden(
    polls: Polls, authority: Authority
) -> None:
    poll = await create_voted(polls, settings={"resultsVisibility": "never", "saveParticipantNames": True})
    browser = await manage(polls, authority, "polls:read,update:PLAT")

    asked = await browser.submit(edit_path(poll), save_participant_names=None)

    assert (asked.status, boxes(asked)) == (409, ["eraseNames"])
    assert "Erase the names of the ballots permanently" in asked.text


async def test_error_and_change_by_someone_else_come_before_the_question_about_names(
    polls: Polls, browser: Browser
) -> None:
    poll = await create_voted(polls, settings={"saveParticipantNames": True})
    form = await browser.get(edit_path(poll))

    wrong = await browser.send(form, title="", save_participant_names=None)
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"description": "new"})
    stale = await browser.send(form, save_participant_names=None)

    assert (wrong.status, "Enter a title." in wrong.text) == (422, True)
    assert stale.status == 412
    assert boxes(await browser.send(stale)) == ["eraseNames"]


async def test_new_option_never_takes_over_the_votes_of_a_removed_one(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll(options=[{"id": "1", "title": "One"}, {"id": "2", "title": "Two"}])
    assert (await polls.vote(poll["id"], "ada", "1")).status == 201
    page = await browser.submit(edit_path(poll), remove_option="0")
    page = await browser.send(page, add_options="true")

    page = await browser.send(page, option_title=["Two", "New", "", ""])

    assert (page.status, boxes(page)) == (409, ["dropVotes"])
    await browser.send(page, allow="dropVotes")
    assert [option["id"] for option in (await read(polls, poll))["options"]] == ["2", "3"]


async def test_edit_of_someone_else_meanwhile_is_noticed_and_explained(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()
    form = await browser.get(edit_path(poll))
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Breakfast?", "settings": {"allowRevote": True}})

    conflict = await browser.send(form, title="Dinner?", description="mine")

    assert conflict.status == 412
    assert "The poll was changed, or has closed, since you opened this page." in conflict.text
    assert "Title Breakfast?" in conflict.text
    assert "You can vote again while the poll is open" in conflict.text
    assert conflict.form().fields["title"] == ["Dinner?"]
    assert (await read(polls, poll))["title"] == "Breakfast?"

    saved = await browser.send(conflict)

    after = await read(polls, poll)
    assert saved.location.endswith("?done=changed")
    assert (after["title"], after["description"]) == ("Dinner?", "mine")


async def test_form_without_a_tag_changes_nothing(polls: Polls, browser: Browser) -> None:
    poll = await polls.create_poll()

    page = await browser.submit(edit_path(poll), title="Dinner?", etag="")

    assert page.status == 400
    assert (await read(polls, poll))["etag"] == poll["etag"]


async def test_edit_that_opens_a_closed_poll_is_asked_for(polls: Polls, browser: Browser) -> None:
    poll = await create_voted(polls)
    await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": CLOSED})

    asked = await browser.submit(edit_path(poll), close_poll_on_end_date=None)

    assert (asked.status, boxes(asked)) == (409, ["reopen"])
    assert (await browser.send(asked, allow="reopen")).status == 200
    assert (await read(polls, poll))["status"] == "open"


async def test_token_that_may_not_update_is_refused(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    editor, reader = await manage(polls, authority), await manage(polls, authority, "polls:read,delete:PLAT")
    form_token = (await reader.get("/manage/polls")).form("/manage/polls/search").fields["form_token"][0]
    sent = (await editor.get(edit_path(poll))).form().filled({"title": "Dinner?", "form_token": form_token})

    shown, forced = await reader.get(edit_path(poll)), await reader.post(edit_path(poll), sent)

    assert (shown.status, forced.status) == (403, 403)
    assert "Missing scope: polls:update:PLAT/PLAT-1." in shown.text
    assert (await read(polls, poll))["title"] == "Lunch?"
