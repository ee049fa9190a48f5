"""`pollgate poll results` and `export`."""

import asyncio
import codecs
import csv
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from tests.support.command_line import CommandLine
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

SCORES = {"1": 8, "2": 12, "3": 11, "4": 15, "5": 10}
FACES = [{"id": "a", "title": "😠 angry"}, {"id": "b", "title": "❤️ in love"}, {"id": "c", "title": "名前"}]


async def make_scored(polls: Polls, **settings: Any) -> str:
    """Create the poll of the manual's example and return its id."""
    options = [{"id": score, "title": score} for score in SCORES]
    poll_id = str((await polls.create_poll(options=options, settings=settings))["id"])
    for score, votes in SCORES.items():
        for number in range(votes):
            assert (await polls.vote(poll_id, f"{score}-{number}", score)).status == 201
    return poll_id


async def run_in_terminal(polls: Polls, *arguments: str, width: int = 80, **environment: str) -> str:
    """Run a command in a terminal of this width and return its output without styles."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    settings = {"PATH": os.environ["PATH"], "TERM": "xterm", "POLLS_URL": polls.base, "POLLGATE_TOKEN": polls.token}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pollgate", *arguments),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=settings | environment,
    )
    os.close(terminal)
    printed = await asyncio.to_thread(_read_all, controller)
    assert await process.wait() == 0, printed
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode(errors="replace")).replace("\r\n", "\n")


def _read_all(terminal: int) -> bytes:
    content = b""
    with open(terminal, "rb", buffering=0) as opened:
        while True:
            try:
                piece = opened.read(65536)
            except OSError:
                return content
            if not piece:
                return content
            content += piece


async def test_poll_results_prints_table_bars_and_totals(integrator: CommandLine, polls: Polls) -> None:
    poll_id = await make_scored(polls)

    shown = await integrator("poll", "results", poll_id)

    lines = shown.out.splitlines()
    assert (shown.status, shown.err) == (0, "")
    assert lines[0].split() == ["Option", "Votes", "Percentage", "Rank", "0", "to", "100", "%"]
    assert "4          15      26.8 %     1  ###########" in shown.out
    assert lines[-3:] == ["Total: 56 participants, 56 votes", "Average: 3.1", "The poll is open."]
    assert shown.out.isascii() or "─" in shown.out


async def test_poll_results_in_terminal_fits_bars_and_wide_titles(polls: Polls) -> None:
    poll_id = str((await polls.create_poll(options=FACES))["id"])
    await polls.vote(poll_id, "ada", "a")

    wide = await run_in_terminal(polls, "poll", "results", poll_id)
    narrow = await run_in_terminal(polls, "poll", "results", poll_id, width=50)
    plain = await run_in_terminal(polls, "poll", "results", poll_id, NO_COLOR="1")

    rows = [line for line in wide.splitlines() if " %" in line and "to" not in line]
    assert len({cell_len(row[: row.index(" %")]) for row in rows}) == 1
    assert "████████████████████████" in rows[0]
    assert max(map(cell_len, wide.splitlines())) <= 80
    assert max(map(cell_len, narrow.splitlines())) <= 50
    assert "█" in narrow
    assert "█" not in plain
    assert "########" in plain


async def test_poll_results_in_ascii_terminal_prints_character_codes(polls: Polls) -> None:
    poll_id = str((await polls.create_poll(options=FACES))["id"])
    await polls.vote(poll_id, "ada", "a")

    shown = await run_in_terminal(polls, "poll", "results", poll_id, PYTHONIOENCODING="ascii", width=120)

    assert shown.isascii()
    assert r"\U0001f620 angry" in shown
    assert "########" in shown


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"resultsVisibility": "afterVote"}, "withheld until a participant has voted; --as shows"),
        (
            {"resultsVisibility": "afterClose", "endDate": "2031-01-31", "closePollOnEndDate": True},
            "withheld until the poll is closed",
        ),
        ({"resultsVisibility": "never"}, "only a token with the action results may see them"),
    ],
)
async def test_poll_results_of_withheld_results_prints_reason(
    integrator: CommandLine, polls: Polls, authority: Authority, settings: dict[str, Any], sentence: str
) -> None:
    poll = await polls.create_poll(options=FACES, settings=settings)
    integrator.use_polls(polls.base, (await authority.issue("polls:read,vote:PLAT"))["token"])

    shown = await integrator("poll", "results", poll["id"])

    assert shown.status == 0
    assert sentence in shown.out
    assert "😠 angry" in shown.out
    assert "Total" not in shown.out
    assert " %" not in shown.out


async def test_poll_results_as_participant_shows_what_participant_sees(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    poll = await polls.create_poll(options=FACES, settings={"resultsVisibility": "afterVote"})
    await polls.vote(poll["id"], "ada", "a")
    integrator.use_polls(polls.base, (await authority.issue("polls:read,vote:PLAT"))["token"])

    shown = await integrator("poll", "results", poll["id"], "--as", "ada")

    assert "Total: 1 participant, 1 vote\n" in shown.out


async def test_poll_results_with_hidden_numbers_shows_percentages(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    poll_id = await make_scored(polls, hideAbsoluteNumbers=True)
    integrator.use_polls(polls.base, (await authority.issue("polls:read:PLAT"))["token"])

    shown = await integrator("poll", "results", poll_id)

    assert shown.out.splitlines()[0].split()[:3] == ["Option", "Percentage", "Rank"]
    assert "26.8 %" in shown.out
    assert "Average: 3.1\nThe numbers of votes are withheld" in shown.out
    assert "56" not in shown.out


async def test_poll_results_of_closed_poll_are_final(integrator: CommandLine, polls: Polls) -> None:
    poll = await polls.create_poll(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})

    shown = await integrator("poll", "results", poll["id"])

    assert "Total: 0 participants, 0 votes\nThe poll is closed; these results are final.\n" in shown.out


async def test_poll_results_prints_json_or_csv(integrator: CommandLine, polls: Polls) -> None:
    poll_id = await make_scored(polls)

    as_json = await integrator("poll", "results", poll_id, "--json")
    as_csv = await integrator("poll", "results", poll_id, "--csv")
    both = await integrator("poll", "results", poll_id, "--csv", "--json")

    assert (as_json.json["average"], as_json.json["options"][3]["participantPercentage"]) == (3.1, 26.8)
    assert [row["votes"] for row in csv.DictReader(io.StringIO(as_csv.out))] == [
        str(votes) for votes in SCORES.values()
    ]
    assert (both.status, both.err) == (2, "pollgate: give either --csv or --json\n")


async def test_poll_export_writes_a_complete_file_or_none(
    integrator: CommandLine, polls: Polls, tmp_path: Path
) -> None:
    poll_id = await make_scored(polls)
    file, nowhere = tmp_path / "results.csv", tmp_path / "no" / "results.csv"
    absent = tmp_path / "absent.csv"

    exported = await integrator("poll", "export", poll_id, "--output", str(file))
    as_csv = await integrator("poll", "export", poll_id)
    failed = await integrator("poll", "export", poll_id, "--output", str(nowhere))
    unknown = await integrator("poll", "export", "x", "--output", str(absent))

    assert exported.out == f"Wrote the results to {file}, {file.stat().st_size} bytes.\n"
    assert file.read_bytes().decode() == as_csv.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert (failed.status, "cannot write the results: No such file or directory" in failed.err) == (1, True)
    assert (unknown.status, absent.exists()) == (1, False)


async def test_poll_export_votes_has_a_column_per_option_and_no_formulas(integrator: CommandLine, polls: Polls) -> None:
    settings = {"saveParticipantNames": True, "allowComment": True, "allowSelectionOfMultipleOptions": True}
    options = [{"id": "a", "title": "Yes"}, {"id": "b", "title": "yes"}, {"id": "c", "title": "No"}]
    poll_id = (await polls.create_poll(options=options, settings=settings))["id"]
    await polls.vote(poll_id, "ada", "a", "c", name="=1+1", comment="@SUM(A1)")
    await polls.vote(poll_id, "bob", "b")

    exported = await integrator("poll", "export", poll_id, "--votes")

    rows = {row["participant"]: row for row in csv.DictReader(io.StringIO(exported.out))}
    assert {**rows["ada"], "cast at": ""} == {
        "participant": "ada",
        "name": "'=1+1",
        "cast at": "",
        "Yes": "1",
        "yes": "",
        "No": "1",
        "comment": "'@SUM(A1)",
    }
    assert (rows["bob"]["Yes"], rows["bob"]["yes"], rows["bob"]["name"]) == ("", "1", "")


async def test_poll_export_votes_without_stored_names_exits_1(integrator: CommandLine, polls: Polls) -> None:
    poll = await polls.create_poll()

    refused = await integrator("poll", "export", poll["id"], "--votes")

    assert (refused.status, refused.out) == (1, "")
    assert "answered 409: The poll does not keep names" in refused.err


async def test_poll_results_csv_is_escaped_in_a_terminal(polls: Polls) -> None:
    poll = await polls.create_poll(options=[{"id": "\x1b]0;x\x07\x9b2Jy", "title": "Yes\u200b"}])

    printed = await run_in_terminal(polls, "poll", "results", poll["id"], "--csv")

    assert printed.replace("\n", "").isprintable()
    assert "Yes" in printed


async def test_poll_comments_lists_comments_without_participants(integrator: CommandLine, polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowComment": True})
    empty = await integrator("poll", "comments", poll["id"])
    await polls.vote(poll["id"], "ada", "y", comment="After lunch")
    await polls.vote(poll["id"], "bob", "n", comment="After lunch")

    table = await integrator("poll", "comments", poll["id"])
    listed = await integrator("poll", "comments", poll["id"], "--json")

    assert (empty.status, empty.out) == (0, "The poll has no comments.\n")
    assert "After lunch" in table.out
    assert "ada" not in table.out
    assert listed.json == [{"comment": "After lunch", "ballots": 2}]


async def test_results_and_ballots_for_excel_begin_with_byte_order_mark(
    integrator: CommandLine, polls: Polls, tmp_path: Path
) -> None:
    options = [{"id": "a", "title": "Grüße ⭐"}]
    poll_id = (await polls.create_poll(options=options, settings={"saveParticipantNames": True}))["id"]
    results, ballots = tmp_path / "results.csv", tmp_path / "ballots.csv"

    exported = await integrator("poll", "export", poll_id, "--excel", "--output", str(results))
    listed = await integrator("poll", "export", poll_id, "--votes", "--excel", "--output", str(ballots))
    plain = await integrator("poll", "results", poll_id, "--csv")
    excel = await integrator("poll", "results", poll_id, "--csv", "--excel")

    assert (exported.status, listed.status) == (0, 0)
    for file in (results, ballots):
        assert file.read_bytes().startswith(codecs.BOM_UTF8 + b'"')
        assert "Grüße ⭐" in file.read_text(encoding="utf-8-sig")
    assert excel.out == "\ufeff" + plain.out
