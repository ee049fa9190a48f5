"""Edits that break what participants were promised are refused unless allowed, and then shown and recorded."""

from typing import Any, Final

import pytest

from tests.support.stack import Answer, Authority, Polls

pytestmark = pytest.mark.shared_services

OPTIONS: Final = [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}, {"id": "m", "title": "Maybe"}]
SWAPPED: Final = [{"id": "y", "title": "No"}, {"id": "n", "title": "Yes"}, OPTIONS[2]]
FUTURE: Final = {"endDate": "2999-01-01", "closePollOnEndDate": True}
PAST: Final = {"endDate": "2026-01-01", "closePollOnEndDate": True}
AFTER_CLOSE: Final = {"resultsVisibility": "afterClose", **FUTURE}
CLOSED: Final = {**AFTER_CLOSE, **PAST}
HIDDEN: Final = {"hideAbsoluteNumbers": True}


async def create_voted_poll(polls: Polls, **settings: Any) -> str:
    """Create a poll with a ballot for its first option, and return its id."""
    is_closed = settings.get("endDate") == PAST["endDate"]
    poll = await polls.create_poll(options=OPTIONS, settings={**settings, **(FUTURE if is_closed else {})})
    assert (await polls.vote(poll["id"], "ada", "y")).status == 201
    if is_closed:
        assert (await patch(polls, poll["id"], settings=PAST)).status == 200
    return str(poll["id"])


async def patch(polls: Polls, poll_id: str, allow: str | None = None, **fields: Any) -> Answer:
    """Send a merge patch of a poll."""
    query: dict[str, Any] = {} if allow is None else {"allow": allow}
    return await polls.v1("PATCH", f"/polls/{poll_id}", fields, **query)


REFUSED: Final[list[tuple[str, dict[str, Any], dict[str, Any], str, str]]] = [
    ("never to public", {"resultsVisibility": "never"}, {"resultsVisibility": "alwaysPublic"}, "revealResults", ""),
    ("never to voters", {"resultsVisibility": "never"}, {"resultsVisibility": "afterVote"}, "revealResults", ""),
    ("never to close", {"resultsVisibility": "never"}, AFTER_CLOSE, "revealResults", ""),
    ("voters to public", {"resultsVisibility": "afterVote"}, {"resultsVisibility": None}, "revealResults", ""),
    ("voters to close", {"resultsVisibility": "afterVote"}, AFTER_CLOSE, "revealResults", ""),
    ("close to public", AFTER_CLOSE, {"resultsVisibility": "alwaysPublic"}, "revealResults", ""),
    ("close to voters", AFTER_CLOSE, {"resultsVisibility": "afterVote"}, "revealResults", ""),
    ("numbers", HIDDEN, {"hideAbsoluteNumbers": False}, "revealResults", "/settings/hideAbsoluteNumbers"),
    ("reopened", CLOSED, {"endDate": "2999-01-01"}, "reopen", "/settings/endDate"),
    ("reopened as hidden", CLOSED, {"resultsVisibility": "never", **FUTURE}, "reopen", "/settings/endDate"),
    ("reopened public", PAST, {"closePollOnEndDate": False}, "reopen", "/settings/closePollOnEndDate"),
    ("names", {}, {"saveParticipantNames": True}, "saveNames", "/settings/saveParticipantNames"),
]


async def test_edit_that_breaks_promise_returns_409_until_allowed(polls: Polls, subtests: pytest.Subtests) -> None:
    for name, settings, change, flag, pointer in REFUSED:
        with subtests.test(name):
            poll_id = await create_voted_poll(polls, **settings)

            refused = await patch(polls, poll_id, settings=change)
            other = await patch(polls, poll_id, "dropVotes", settings=change)
            allowed = await patch(polls, poll_id, flag, settings=change)
            shown = (await polls.v1("GET", f"/polls/{poll_id}")).json

            assert (refused.status, refused.json["type"]) == (409, "/docs/problems/promises-would-be-broken")
            assert "1 ballot," in refused.json["detail"]
            assert f"allow={flag}" in refused.json["detail"]
            assert [error["pointer"] for error in refused.json["errors"]] == [pointer or "/settings/resultsVisibility"]
            assert f"allow {flag}" in refused.json["errors"][0]["detail"]
            assert other.status == 409
            assert (allowed.status, allowed.json["effect"]["consequences"]) == (200, [flag])
            assert [change["consequence"] for change in shown["changedAfterVotes"]] == [flag]
            assert shown["changedAfterVotes"][0]["at"] <= shown["updatedAt"]


PERMITTED: Final[list[tuple[str, dict[str, Any], dict[str, Any]]]] = [
    ("closed early", AFTER_CLOSE, PAST),
    ("closed later", AFTER_CLOSE, {"endDate": "2999-02-01"}),
    ("public to never", {}, {"resultsVisibility": "never"}),
    ("public to voters", {}, {"resultsVisibility": "afterVote"}),
    ("public to close", {}, AFTER_CLOSE),
    ("final results for longer", CLOSED, {"resultsVisibility": "alwaysPublic"}),
    ("numbers hidden", {}, HIDDEN),
    ("numbers of no results", {"resultsVisibility": "never", **HIDDEN}, {"hideAbsoluteNumbers": False}),
    ("names erased", {"saveParticipantNames": True}, {"saveParticipantNames": False}),
    ("rules of ballots", {}, {"allowRevote": True, "allowComment": True, "allowSelectionOfMultipleOptions": True}),
]


async def test_edit_that_keeps_promises_returns_200(polls: Polls, subtests: pytest.Subtests) -> None:
    for name, settings, change in PERMITTED:
        with subtests.test(name):
            poll_id = await create_voted_poll(polls, **settings)

            edited = await patch(polls, poll_id, settings=change)

            assert (edited.status, edited.json["effect"]["consequences"]) == (200, [])
            assert "changedAfterVotes" not in edited.json


async def test_edit_of_poll_without_ballots_returns_200(polls: Polls, subtests: pytest.Subtests) -> None:
    for name, settings, change, _, _ in REFUSED:
        with subtests.test(name):
            poll_id = (await polls.create_poll(options=OPTIONS, settings=settings))["id"]

            edited = await patch(polls, poll_id, title="Dinner?", options=SWAPPED, settings=change)

            assert (edited.status, edited.json["effect"]["consequences"]) == (200, [])


async def test_reader_and_editor_cannot_look_at_results_before_poll_closes(polls: Polls, authority: Authority) -> None:
    """Close, look, and open again: the last step is refused, so the look has ended the poll."""
    poll_id = await create_voted_poll(polls, **AFTER_CLOSE)
    holder = polls.with_token((await authority.issue("polls:read,update:PLAT"))["token"])

    closed = await patch(holder, poll_id, settings=PAST)
    seen = await holder.get_results(poll_id)
    hidden = await patch(holder, poll_id, settings={"resultsVisibility": "never"})
    opened = await patch(holder, poll_id, settings=FUTURE)

    assert (closed.status, seen["votes"], hidden.status, opened.status) == (200, 1, 200, 409)
    assert "allow=reopen" in opened.json["detail"]


@pytest.mark.parametrize("visibility", ["alwaysPublic", "never"])
async def test_swapped_titles_return_409_until_allowed(polls: Polls, visibility: str) -> None:
    poll_id = await create_voted_poll(polls, resultsVisibility=visibility)

    refused = await patch(polls, poll_id, options=SWAPPED)
    allowed = await patch(polls, poll_id, "renameOptions", options=SWAPPED)

    assert (refused.status, refused.json["errors"][0]["pointer"]) == (409, "/options/0/title")
    assert (allowed.status, allowed.json["effect"]["consequences"]) == (200, ["renameOptions"])


async def test_changed_question_returns_409_until_allowed(polls: Polls) -> None:
    poll_id = await create_voted_poll(polls)

    refused = await patch(polls, poll_id, title="No lunch?")
    allowed = await patch(polls, poll_id, "changeTitle", title="No lunch?")

    assert (refused.status, refused.json["errors"][0]["pointer"]) == (409, "/title")
    assert (allowed.status, allowed.json["title"]) == (200, "No lunch?")


async def test_same_wording_returns_200(polls: Polls) -> None:
    poll = await polls.create_poll(title="Kaffee  für alle?", options=OPTIONS)
    await polls.vote(poll["id"], "ada", "y")
    options = [{"id": "y", "title": "YES"}, OPTIONS[1], OPTIONS[2]]

    edited = await patch(polls, poll["id"], title="kaffee fu\u0308r alle? ", description="More", options=options)

    assert (edited.status, edited.json["effect"]["consequences"]) == (200, [])


async def test_title_that_is_shown_in_another_order_returns_409(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll(options=[{"id": "y", "title": "1 - 3"}, {"id": "n", "title": "2 - 2"}])
    await polls.vote(poll["id"], "ada", "y")
    for title in ("\u200f1 - 3", "\u20671 - 3\u2069", "\u202b1 - 3\u202c"):
        with subtests.test(title=ascii(title)):
            refused = await patch(
                polls, poll["id"], options=[{"id": "y", "title": title}, {"id": "n", "title": "2 - 2"}]
            )
            assert (refused.status, refused.json["errors"][0]["pointer"]) == (409, "/options/0/title")


async def test_option_without_visible_votes_can_be_renamed_and_removed(polls: Polls) -> None:
    poll_id = await create_voted_poll(polls)

    edited = await patch(polls, poll_id, options=[OPTIONS[0], {"id": "n", "title": "Never"}])

    assert (edited.status, edited.json["effect"]["droppedOptions"]) == (200, ["m"])


async def test_refusal_does_not_reveal_which_options_have_votes(polls: Polls, authority: Authority) -> None:
    poll_id = await create_voted_poll(polls, resultsVisibility="never")
    editor = polls.with_token((await authority.issue("polls:read,update:PLAT"))["token"])

    removed = [await patch(editor, poll_id, options=[o for o in OPTIONS if o is not each]) for each in OPTIONS]
    renamed = [
        await patch(editor, poll_id, options=[{**o, "title": "x"} if o is each else o for o in OPTIONS])
        for each in OPTIONS
    ]
    seeing = await patch(polls, poll_id, options=OPTIONS[1:])

    for answers in (removed, renamed):
        assert [answer.status for answer in answers] == [409] * 3
        assert len({answer.json["detail"] for answer in answers}) == 1
    assert "their number is withheld; the poll has 1 ballot" in removed[0].json["detail"]
    assert "has 1 vote" in seeing.json["errors"][0]["detail"]


async def test_edit_with_several_consequences_names_each_flag(polls: Polls) -> None:
    poll_id = await create_voted_poll(polls, resultsVisibility="never")
    change: dict[str, Any] = {
        "options": [{"id": "n", "title": "Yes"}],
        "title": "x",
        "settings": {"resultsVisibility": None},
    }

    refused = await patch(polls, poll_id, **change)
    allowed = await patch(polls, poll_id, "dropVotes,changeTitle,revealResults,reopen", **change)

    assert refused.status == 409
    assert "allow=dropVotes,changeTitle,revealResults'" in refused.json["detail"]
    assert allowed.status == 200
    assert allowed.json["effect"]["consequences"] == ["dropVotes", "changeTitle", "revealResults"]


async def test_unknown_flag_returns_400_with_known_ones(polls: Polls, subtests: pytest.Subtests) -> None:
    poll_id = await create_voted_poll(polls)
    for text in ("everything", "reopen,", ",", "reopen reopen", "Reopen"):
        with subtests.test(text):
            answer = await patch(polls, poll_id, text, title="x")

            assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "allow")
            assert "renameOptions" in answer.json["errors"][0]["detail"]


async def test_contract_put_that_breaks_promise_returns_400_until_allowed(polls: Polls) -> None:
    poll_id = await create_voted_poll(polls)
    body = {"title": "Lunch?", "options": SWAPPED}

    refused = await polls.call("PUT", body, pollId=poll_id)
    unknown = await polls.call("PUT", body, pollId=poll_id, allow="x")
    allowed = await polls.call("PUT", body, pollId=poll_id, allow="renameOptions")

    assert (refused.status, refused.json["type"]) == (400, "/docs/problems/promises-would-be-broken")
    assert unknown.status == 400
    assert allowed.status == 200
    assert [option["title"] for option in allowed.json["options"]] == ["No", "Yes", "Maybe"]


async def test_batch_item_that_breaks_promise_has_409_until_allowed(polls: Polls) -> None:
    poll_id = await create_voted_poll(polls)
    item: dict[str, Any] = {"op": "update", "id": poll_id, "poll": {"title": "Lunch?", "options": SWAPPED}}
    items = [item, {**item, "allow": ["renameOptions"]}, {"op": "close", "id": poll_id}]

    outcomes = (await polls.v1("POST", "/polls:batch", {"items": items})).json["items"]
    malformed = await polls.v1("POST", "/polls:batch", {"items": [{**item, "allow": ["x"]}]})

    assert [outcome["status"] for outcome in outcomes] == [409, 200, 200]
    assert outcomes[0]["problem"]["errors"][0]["pointer"] == "/items/0/poll/options/0/title"
    assert outcomes[1]["poll"]["effect"]["consequences"] == ["renameOptions"]
    assert malformed.status == 422


async def test_shown_poll_with_changes_after_votes_can_be_written_back(polls: Polls) -> None:
    poll_id = await create_voted_poll(polls)
    await patch(polls, poll_id, "changeTitle", title="Dinner?")
    shown = (await polls.v1("GET", f"/polls/{poll_id}")).json

    written = await polls.v1("PUT", f"/polls/{poll_id}", shown)
    patched = await polls.v1("PATCH", f"/polls/{poll_id}", shown)

    assert shown["changedAfterVotes"]
    assert (written.status, patched.status) == (200, 200)
    assert patched.json["changedAfterVotes"] == shown["changedAfterVotes"]
