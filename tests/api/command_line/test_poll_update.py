"""`pollgate poll update` and `delete`."""

import json
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

OPTIONS = [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}]


@pytest.fixture
async def poll(polls: Polls) -> Any:
    """Create a poll with a vote of ada for yes."""
    made = await polls.create_poll(options=OPTIONS, settings={"allowComment": True, "saveParticipantNames": True})
    await polls.vote(made["id"], "ada", "y")
    return made


async def options_of(polls: Polls, poll_id: str) -> list[tuple[str, str]]:
    """Return the id and title of each option, in order."""
    options = (await polls.v1("GET", f"/polls/{poll_id}")).json["options"]
    return [(option["id"], option["title"]) for option in options]


async def test_poll_update_leaves_other_fields_unchanged(integrator: CommandLine, poll: Any) -> None:
    changed = await integrator("poll", "update", poll["id"], "--description", "At one", "--no-allow-comment", "--json")

    assert (changed.json["title"], changed.json["description"]) == (poll["title"], "At one")
    assert changed.json["settings"] == {**poll["settings"], "allowComment": False}
    assert changed.json["etag"] == '"2"'


async def test_poll_update_option_with_existing_title_keeps_id_and_votes(
    integrator: CommandLine, polls: Polls, poll: Any
) -> None:
    updated = await integrator(
        "poll", "update", poll["id"], *("--option", "No", "--option", "Maybe", "--option", "Yes")
    )

    assert (updated.status, updated.out) == (0, f"Updated {poll['id']}.\n")
    assert await options_of(polls, poll["id"]) == [("n", "No"), ("1", "Maybe"), ("y", "Yes")]
    assert (await polls.get_results(poll["id"]))["votes"] == 1


async def test_poll_update_option_with_id_changes_its_title(integrator: CommandLine, polls: Polls, poll: Any) -> None:
    options = ("--option", "y=Gladly", "--option", "No")
    await integrator("poll", "update", poll["id"], *options, "--allow", "renameOptions")

    assert await options_of(polls, poll["id"]) == [("y", "Gladly"), ("n", "No")]


async def test_poll_update_escapes_removed_options(integrator: CommandLine, polls: Polls) -> None:
    odd = "\x1b]0;x\x07\x9b2J\nDeleted everything."
    poll = await polls.create_poll(options=[{"id": odd, "title": "Odd"}])
    await polls.vote(poll["id"], "ada", odd)

    dropped = await integrator("poll", "update", poll["id"], "--option", "n=No", "--drop-votes")

    assert dropped.status == 0
    assert dropped.out.removesuffix("\n").isprintable()


async def test_poll_update_that_breaks_promise_exits_1_without_allow(
    integrator: CommandLine, polls: Polls, poll: Any
) -> None:
    change = ("poll", "update", poll["id"], "--title", "Another question?")
    refused = await integrator(*change)
    unknown = await integrator(*change, "--allow", "anything")
    allowed = await integrator(*change, "--allow", "changeTitle", "--allow", "reopen")
    shown = await integrator("poll", "show", poll["id"])

    assert refused.status == 1
    assert "answered 409: The change would break promises to participants who have voted; to make it" in refused.err
    assert "--title: participants have answered the question as it is" in refused.err
    assert "allow changeTitle" in refused.err
    assert "repeat it with --allow and each flag" in refused.err
    assert (unknown.status, "for --allow. Choose from" in unknown.err) == (2, True)
    assert allowed.out == f"Updated {poll['id']}; the poll shows that this was done after votes: changeTitle.\n"
    assert "Changed after votes  changeTitle, 20" in shown.out


async def test_poll_update_that_removes_votes_exits_1_without_drop_votes(
    integrator: CommandLine, polls: Polls, poll: Any
) -> None:
    refused = await integrator("poll", "update", poll["id"], "--option", "No")
    dropped = await integrator("poll", "update", poll["id"], "--option", "No", "--drop-votes")

    assert refused.status == 1
    assert "answered 409: The change removes options that have votes; --drop-votes removes" in refused.err
    assert "'y' has 1" in refused.err
    assert "dropVotes" not in refused.err
    assert dropped.out == f"Updated {poll['id']}; removed 'y' with 1 vote; removed 1 ballot without other options.\n"
    assert await options_of(polls, poll["id"]) == [("n", "No")]


async def test_poll_update_no_save_names_prints_removed_names(integrator: CommandLine, poll: Any) -> None:
    updated = await integrator("poll", "update", poll["id"], "--no-save-names")

    assert updated.out == f"Updated {poll['id']}; removed the names from 1 ballot.\n"


async def test_poll_update_accepts_output_of_poll_show_as_file(integrator: CommandLine, poll: Any) -> None:
    as_json = await integrator("poll", "show", poll["id"], "--json")

    edited = {**as_json.json, "description": "At one"}
    updated = await integrator("poll", "update", poll["id"], "--file", "-", "--json", stdin=json.dumps(edited))

    assert updated.json["description"] == "At one"


async def test_poll_update_with_stale_etag_exits_1(integrator: CommandLine, poll: Any) -> None:
    first = await integrator("poll", "update", poll["id"], "--description", "At one", "--if-match", '"1"')
    second = await integrator("poll", "update", poll["id"], "--description", "At two", "--if-match", '"1"')

    assert (first.status, second.status) == (0, 1)
    assert "answered 412: The poll has changed; read it again." in second.err


@pytest.mark.parametrize("tag", ["1", '"1"', "*", '"7", "1"'])
async def test_poll_update_accepts_etag_with_and_without_quotes(integrator: CommandLine, poll: Any, tag: str) -> None:
    as_it_is = await integrator("poll", "update", poll["id"], "--description", "At one", "--if-match", tag)
    other = await integrator("poll", "update", poll["id"], "--description", "At two", "--if-match", "1")

    assert (as_it_is.status, other.status) == (0, 1)
    assert "answered 412: The poll has changed; read it again." in other.err


async def test_poll_update_close_and_reopen(integrator: CommandLine, polls: Polls, poll: Any) -> None:
    late = await integrator("poll", "update", poll["id"], "--close", "--if-match", '"7"')
    closed = await integrator("poll", "update", poll["id"], "--close")
    while_closed = await polls.vote(poll["id"], "bob", "y")
    refused = await integrator("poll", "update", poll["id"], "--ends", "never")
    opened = await integrator("poll", "update", poll["id"], "--ends", "never", "--allow", "reopen", "--json")

    assert (late.status, "answered 412: The poll has changed" in late.err) == (1, True)
    assert closed.out == f"Closed {poll['id']}.\n"
    assert while_closed.status == 409
    assert (refused.status, "allow reopen" in refused.err) == (1, True)
    assert opened.json["status"] == "open"


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        ((), 2, "nothing to change; see `pollgate poll update --help`"),
        (("--close", "--title", "x"), 2, "--close cannot be combined with other changes"),
        (("--option", "Yes", "--option", "Yes"), 1, "the titles of the options 1 and 2 look the same"),
        (("--title", ""), 1, "--title: this has 0 characters; expected 1 to 255"),
    ],
)
async def test_poll_update_with_invalid_options_exits_1_or_2(
    integrator: CommandLine, poll: Any, options: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await integrator("poll", "update", poll["id"], *options)

    assert (refused.status, refused.out) == (status, "")
    assert sentence in refused.err


async def test_poll_delete_asks_for_confirmation(integrator: CommandLine, polls: Polls, poll: Any) -> None:
    in_a_script = await integrator("poll", "delete", poll["id"])
    declined = await integrator("poll", "delete", poll["id"], stdin="n\n", terminal=True)
    before = await polls.v1("GET", f"/polls/{poll['id']}")
    confirmed = await integrator("poll", "delete", poll["id"], stdin="y\n", terminal=True)

    assert (in_a_script.status, in_a_script.err) == (
        2,
        "pollgate: deleting a poll without a terminal requires --yes\n",
    )
    assert "This permanently deletes 'Lunch?' with all its votes. Continue? [y/N]" in declined.err
    assert "nothing was deleted" in declined.err
    assert before.status == 200
    assert confirmed.out == f"Deleted {poll['id']}.\n"
    assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 404


async def test_poll_delete_with_yes_does_not_ask(integrator: CommandLine, poll: Any) -> None:
    late = await integrator("poll", "delete", poll["id"], "--yes", "--if-match", '"7"')
    deleted = await integrator("poll", "delete", poll["id"], "--yes")

    assert (late.status, deleted.status) == (1, 0)


async def test_poll_delete_with_delete_scope_alone_asks_by_id(
    integrator: CommandLine, polls: Polls, authority: Authority, poll: Any
) -> None:
    integrator.use_polls(polls.base, (await authority.issue("polls:delete:PLAT"))["token"])

    deleted = await integrator("poll", "delete", poll["id"], stdin="y\n", terminal=True)

    assert f"This permanently deletes {poll['id']} with all its votes" in deleted.err
    assert deleted.status == 0
