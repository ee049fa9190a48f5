"""`pollgate poll list`, `show`, `create` and `templates`, and the access token."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

CREATE = ("poll", "create", "--workspace", "PLAT", "--content", "PLAT-1")


async def get_poll(polls: Polls, poll_id: str) -> Any:
    """Return the poll as the API does."""
    return (await polls.v1("GET", f"/polls/{poll_id}")).json


async def test_poll_create_with_every_option(integrator: CommandLine, polls: Polls) -> None:
    made = await integrator(
        *("poll", "create", "--workspace", "SPACE", "--content", "12345", "--container", "macro-7"),
        *("--title", "Lunch?", "--description", "on Friday", "--option", "Yes", "--option", "no=No, thanks"),
        *("--option", "=E=mc²", "--multiple", "--allow-revote", "--save-names", "--allow-comment", "--hide-numbers"),
        *("--results", "afterClose", "--ends", "2031-01-31", "--close-on-end", "--json"),
    )

    poll = await get_poll(polls, made.json["id"])
    assert (poll["title"], poll["description"]) == ("Lunch?", "on Friday")
    assert poll["location"] == {"workspace": "SPACE", "content": "12345", "container": "macro-7"}
    assert [(each["id"], each["title"]) for each in poll["options"]] == [
        ("1", "Yes"),
        ("no", "No, thanks"),
        ("2", "E=mc²"),
    ]
    assert poll["settings"] == {
        "allowSelectionOfMultipleOptions": True,
        "resultsVisibility": "afterClose",
        "endDate": "2031-01-31",
        "hideAbsoluteNumbers": True,
        "allowRevote": True,
        "saveParticipantNames": True,
        "closePollOnEndDate": True,
        "allowComment": True,
    }


async def test_poll_create_from_template_shows_the_poll(integrator: CommandLine) -> None:
    made = await integrator(*CREATE, "--template", "stars", "--title", "How was it?")

    assert (made.status, made.err) == (0, "")
    assert re.search(r"^Title +How was it\?$", made.out, re.MULTILINE)
    assert re.search(r"^Place +PLAT/PLAT-1$", made.out, re.MULTILINE)
    assert re.search(r"^ +5=⭐⭐⭐⭐⭐$", made.out, re.MULTILINE)
    assert re.search(r'^ETag +"1"$', made.out, re.MULTILINE)


async def test_poll_create_ends_at_a_time_or_after_a_duration(integrator: CommandLine) -> None:
    at = await integrator(*CREATE, "--template", "stars", "--ends", "2031-01-31T12:00+02:00", "--json")
    after = await integrator(*CREATE, "--template", "stars", "--ends", "7d", "--json")
    never = await integrator(*CREATE, "--template", "stars", "--ends", "never", "--json")

    left = datetime.fromisoformat(after.json["settings"]["endDate"]) - datetime.now(UTC)
    assert at.json["settings"]["endDate"] == "2031-01-31T10:00:00Z"
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    assert never.json["settings"]["endDate"] == ""


async def test_poll_create_from_file_or_stdin_with_options_that_take_precedence(
    integrator: CommandLine, tmp_path: Path
) -> None:
    poll = {
        "title": "Lunch?",
        "options": [{"id": "y", "title": "Yes"}],
        "location": {"workspace": "PLAT", "content": "PLAT-9"},
        "settings": {"allowComment": True},
    }
    file = tmp_path / "poll.json"
    file.write_text(json.dumps(poll), encoding="utf-8")

    from_file = await integrator("poll", "create", "--file", str(file), "--content", "PLAT-2", "--multiple", "--json")
    from_input = await integrator("poll", "create", "--file", "-", "--json", stdin=json.dumps(poll))

    assert from_file.json["location"]["content"] == "PLAT-2"
    assert from_file.json["settings"]["allowComment"]
    assert from_file.json["settings"]["allowSelectionOfMultipleOptions"]
    assert (from_input.json["location"]["content"], from_input.json["title"]) == ("PLAT-9", "Lunch?")


async def test_poll_create_from_output_of_poll_show_makes_a_copy(integrator: CommandLine, polls: Polls) -> None:
    poll = await polls.create_poll()
    as_json = await integrator("poll", "show", poll["id"], "--expand", "--json")

    copy = await integrator("poll", "create", "--content", "PLAT-2", "--file", "-", "--json", stdin=as_json.out)

    assert as_json.json["results"]["votes"] == 0
    assert (copy.json["title"], copy.json["options"]) == (poll["title"], poll["options"])
    assert copy.json["id"] != poll["id"]


async def test_poll_create_with_lost_response_creates_one_poll(integrator: CommandLine, polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy:
        integrator.use_polls(proxy.url, polls.token)
        proxy.lost = 1
        made = await integrator(*CREATE, "--template", "stars", "--json")
        listed = await integrator("poll", "list", "--json")

    assert [poll["id"] for poll in listed.json] == [made.json["id"]]


WRONG = [
    (("--title", "x"), 2, "--option is missing, such as --option Yes"),
    ((), 2, "--title and --option are missing, such as --title 'Lunch?' --option Yes"),
    (("--title", "", "--option", "Yes"), 1, "--title: this has 0 characters; expected 1 to 255"),
    (("--title", "a\nb", "--option", "Yes"), 1, "--title: this contains the line break U+000A"),
    (("--title", "x", "--option", "Yes", "--option", "=" + "x" * 256), 1, "--option '=xxx"),
    (
        ("--title", "x", "--option", "A", "--option", "b=A "),
        1,
        "--option 'b=A ' (value 2 of 2): the titles of the options 1 and 2",
    ),
    (
        ("--title", "x", "--option", "a=A", "--option", "b=A"),
        1,
        "--option 'b=A' (value 2 of 2): the titles of the options 1 and 2",
    ),
    (("--template", "sun"), 1, "--template: Unknown template; the templates are blank, yes-no"),
    (
        ("--template", "stars", "--ends", "soon"),
        2,
        "with a zone, such as +09:00, or how long from now, such as 7d, or never. See --help.",
    ),
    (("--template", "stars", "--ends", "never", "--close-on-end"), 2, "a poll without an end cannot close at its end"),
    (("--template", "stars", "--ends", "2031-13-31"), 2, "'2031-13-31' is not a time"),
    (("--template", "stars", "--option", "a="), 2, "--option takes TITLE or ID=TITLE"),
    (("--template", "stars", "--results", "always"), 2, "--results"),
    (("--file", "-"), 1, "standard input does not contain a JSON object"),
    (("--file", "nowhere.json"), 1, "cannot read the poll: No such file or directory: nowhere.json"),
    (("--template", "stars", "--close-on-end"), 1, "--ends: --close-on-end needs an end date"),
    (("--template", "stars", "--colour", "red"), 2, "--colour"),
]


@pytest.mark.parametrize(("options", "status", "sentence"), WRONG)
async def test_poll_create_with_invalid_options_exits_1_or_2(
    integrator: CommandLine, options: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await integrator(*CREATE, *options)

    assert (refused.status, refused.out) == (status, "")
    assert refused.err.startswith("pollgate: ")
    assert sentence in refused.err
    assert (await integrator("poll", "list", "--json")).json == []


async def test_poll_create_without_place_exits_2(integrator: CommandLine) -> None:
    nowhere = await integrator("poll", "create", "--template", "stars")
    half = await integrator("poll", "create", "--template", "stars", "--workspace", "PLAT")

    assert nowhere.err == (
        "pollgate: the poll has no place: --workspace and --content are missing, such as --workspace PLAT "
        "--content PLAT-1\n"
    )
    assert half.err == "pollgate: the poll has no place: --content is missing, such as --content PLAT-1\n"
    assert (nowhere.status, half.status) == (2, 2)


async def test_poll_create_error_names_option_or_pointer_in_file(integrator: CommandLine) -> None:
    wrong = {"location": {"workspace": "", "content": "PLAT-1"}, "template": "stars"}

    by_option = await integrator("poll", "create", "--workspace", "", "--content", "PLAT-1", "--template", "stars")
    in_file = await integrator("poll", "create", "--file", "-", stdin=json.dumps(wrong))

    assert by_option.err.endswith("\n  --workspace: this may not be empty\n")
    assert in_file.err.endswith("\n  /location/workspace: this may not be empty\n")


async def test_poll_create_error_is_printed_once(integrator: CommandLine) -> None:
    wrong = {"location": {"workspace": "PLAT", "content": "PLAT-1"}, "template": 5}

    refused = await integrator("poll", "create", "--file", "-", stdin=json.dumps(wrong))

    assert refused.err.startswith("pollgate: the polls service answered 422: /template: ")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Asia/Tokyo"])
async def test_poll_create_and_update_read_and_print_end_in_utc(
    integrator: CommandLine, set_zone: Callable[[str], None], zone: str
) -> None:
    set_zone(zone)

    made = await integrator(*CREATE, "--template", "stars", "--ends", "2031-01-31", "--close-on-end")
    (poll,) = (await integrator("poll", "list", "--json")).json
    updated = await integrator("poll", "update", poll["id"], "--ends", "2031-02-01+09:00")
    opened = await integrator("poll", "update", poll["id"], "--ends", "never")

    assert re.search(r"\nEnds +2031-01-31 23:59:59 UTC, when the poll closes\n", made.out)
    assert poll["settings"]["endDate"] == "2031-01-31"
    assert updated.out == f"Updated {poll['id']}; ends 2031-02-01 14:59:59 UTC.\n"
    assert opened.out == f"Updated {poll['id']}; ends never.\n"


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (("--content", "PLAT-1"), 2, "pollgate: --content requires --workspace\n"),
        (("--workspace", "PLAT", "--container", "m"), 2, "pollgate: --container requires --content\n"),
        (("--updated-since", "1x"), 2, "with a zone, such as +09:00, or how long ago, such as 7d. See --help.\n"),
        (("--limit", "0"), 2, "pollgate: --limit must be at least 1\n"),
    ],
)
async def test_poll_list_with_invalid_condition_exits_1_or_2(
    integrator: CommandLine, options: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await integrator("poll", "list", *options)

    assert (refused.status, refused.out) == (status, "")
    assert refused.err.endswith(sentence)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show",), "POLL_ID is missing. See --help.\n"),
        (("create", "--title"), "--title requires a value. See --help.\n"),
        (("shwo",), 'Unknown command "shwo". Did you mean "show"?'),
    ],
)
async def test_poll_command_with_wrong_usage_exits_2(
    integrator: CommandLine, words: tuple[str, ...], sentence: str
) -> None:
    refused = await integrator("poll", *words)

    assert (refused.status, refused.err.startswith(f"pollgate: {sentence}")) == (2, True)


async def test_poll_list_applies_each_condition(integrator: CommandLine, polls: Polls) -> None:
    ended = {"endDate": "2026-01-01", "closePollOnEndDate": True}
    await polls.create_poll(title="ended", settings=ended)
    await polls.at_place(workspace="PLAT", content="PLAT-2").create_poll(title="open")
    await polls.at_place(workspace="SPACE", content="1", container="m").create_poll(title="macro")

    async def list_titles(*options: str) -> list[str]:
        return [poll["title"] for poll in (await integrator("poll", "list", "--json", *options)).json]

    assert await list_titles() == ["ended", "open", "macro"]
    assert await list_titles("--workspace", "PLAT") == ["ended", "open"]
    assert await list_titles("--workspace", "PLAT", "--content", "PLAT-2") == ["open"]
    assert await list_titles("--workspace", "SPACE", "--content", "1", "--container", "m") == ["macro"]
    assert await list_titles("--status", "closed") == ["ended"]
    assert await list_titles("--updated-since", "1h", "--limit", "2") == ["ended", "open"]
    assert await list_titles("--updated-since", "2031-01-01") == []


async def test_poll_list_expand_shows_place_and_participants(integrator: CommandLine, polls: Polls) -> None:
    poll = await polls.create_poll(title="[red]Lunch[/red] 🍕\u200b?")
    await polls.vote(poll["id"], "ada", poll["options"][0]["id"])

    listed = await integrator("poll", "list", "--expand")

    row = next(line for line in listed.out.splitlines() if poll["id"] in line)
    assert re.search(r"  \[red\]Lunch\[/red\] 🍕\\u200b\?  open +PLAT/PLAT-1  1 +\d{4}-", row)


async def test_poll_list_without_results_prints_notice(integrator: CommandLine) -> None:
    none_yet = await integrator("poll", "list")
    none_so = await integrator("poll", "list", "--status", "closed")

    assert none_yet.out == "There are no polls yet that this token may read; `pollgate poll create` creates one.\n"
    assert none_so.out == "No poll meets these conditions.\n"
    assert (none_yet.status, none_so.status) == (0, 0)


async def test_poll_templates_prints_each_template(integrator: CommandLine) -> None:
    listed, as_json = await integrator("poll", "templates"), await integrator("poll", "templates", "--json")

    assert [each["id"] for each in as_json.json] == ["blank", "yes-no", "score-1-to-5", "stars", "emoji", "hearts"]
    assert re.search(r"^ ?yes-no +Yes/No +Yes, No +no *$", listed.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("poll_id", "status", "sentence"),
    [
        (
            "ee9107b5-5041-4c15-8c76-f14404fa1fad",
            1,
            "answered 404: No poll has this id, or this token has no access to it.",
        ),
        ("../templates", 1, "answered 404: No poll has this id, or this token has no access to it."),
        ("..", 2, "this is not an id; `pollgate poll list` shows the ids"),
    ],
)
async def test_poll_show_with_unknown_or_invalid_id_exits_1_or_2(
    integrator: CommandLine, poll_id: str, status: int, sentence: str
) -> None:
    refused = await integrator("poll", "show", poll_id)

    assert (refused.status, refused.out) == (status, "")
    assert sentence in refused.err


async def test_poll_list_reads_token_from_file(
    integrator: CommandLine, polls: Polls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{polls.token}\n")
    monkeypatch.delenv("POLLGATE_TOKEN")
    missing = await integrator("poll", "list")
    monkeypatch.setenv("POLLGATE_TOKEN_FILE", str(file))

    file.chmod(0o600)
    from_file = await integrator("poll", "list")
    file.chmod(0o640)
    loose = await integrator("poll", "list", "--json")
    file.unlink()
    no_file = await integrator("poll", "list")

    assert (missing.status, from_file.status, no_file.status) == (1, 0, 1)
    assert (from_file.err, loose.json) == ("", [])
    assert loose.err == f"pollgate: warning: other users can read this access token; run: chmod 600 {file}.\n"
    assert missing.err == "pollgate: no access token: set POLLGATE_TOKEN or POLLGATE_TOKEN_FILE\n"
    assert no_file.err == f"pollgate: cannot read the access token: No such file or directory: {file}\n"


async def test_poll_command_with_token_as_argument_exits_2_without_the_token(
    integrator: CommandLine, polls: Polls
) -> None:
    as_option = await integrator("poll", "list", "--token", polls.token)
    as_id = await integrator("poll", "show", polls.token)
    elsewhere = await integrator("poll", "list", "--token=x")

    assert (as_option.status, as_id.status, elsewhere.status) == (2, 2, 2)
    assert "an access token cannot be an argument" in as_option.err
    assert "Others may have seen it: rotate it" in as_id.err
    assert "rotate" not in elsewhere.err
    assert not [ran for ran in (as_option, as_id) if "pgt_" in ran.out + ran.err]


async def test_poll_command_with_401_or_403_exits_1(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    reader = (await authority.issue("polls:read:PLAT"))["token"]
    integrator.use_polls(polls.base, reader)
    beyond = await integrator(*CREATE, "--template", "stars")
    integrator.use_polls(polls.base, "pgt_" + "A" * 38)
    unknown = await integrator("poll", "list")

    assert (beyond.status, unknown.status) == (1, 1)
    assert "the polls service answered 403" in beyond.err
    assert "the polls service answered 401" in unknown.err


async def test_poll_list_with_unreachable_service_exits_1(integrator: CommandLine, polls: Polls) -> None:
    integrator.use_polls("http://127.0.0.1:1", polls.token)

    refused = await integrator("poll", "list")

    assert refused.status == 1
    assert re.fullmatch(
        r"pollgate: the polls service at \S+ \(from POLLS_URL\) does not answer: .*; start it, or set POLLS_URL\n",
        refused.err,
    )


PASSED = [
    (("--ends", "2020-01-31"), "has passed; it stays open, because it does not close at its end."),
    (("--ends", "2020-01-31T12:00Z", "--close-on-end"), "has passed: it is closed; --ends with a later time opens it."),
    (("--ends", "2037-01-31", "--close-on-end"), None),
    ((), None),
]


async def test_poll_with_an_end_that_has_passed_warns_on_standard_error(
    integrator: CommandLine, polls: Polls, subtests: pytest.Subtests
) -> None:
    for options, warning in PASSED:
        with subtests.test(" ".join(options)):
            made = await integrator(*CREATE, "--template", "stars", *options, "--json")
            changed = await integrator("poll", "update", made.json["id"], "--title", "x", *options)

            for ran in (made, changed):
                assert ran.status == 0
                assert ran.err.startswith("pollgate: warning: the end of this poll, 2020-01-31") == bool(warning)
                assert ran.err.endswith(f"{warning}\n") if warning else ran.err == ""
