"""`pollgate poll results` and `export`."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from pollgate.cli.atomic_file import written_whole
from pollgate.cli.charts import print_results
from pollgate.cli.errors import CliError
from pollgate.cli.output import counted, plain, print_json
from pollgate.cli.polls_session import call_polls, integration
from pollgate.cli.session import Json
from pollgate.client import Ballot, OptionResult, PollsClient
from shared.runtime.http.csv_table import Cell, csv_table

app = integration("poll", "Read and export the results of polls.")

CHOSEN: Final = 1
"""What a cell holds whose option a ballot has chosen; the others are empty."""


@app.command(help_epilogue="Examples:\n\n  pollgate poll results ID\n  pollgate poll results ID --json | jq .average")
def results(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    participant: Annotated[str | None, Parameter(name="--as", metavar="PARTICIPANT")] = None,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    as_json: Json = False,
) -> None:
    """Show what the votes of a poll come to, as far as the token may see it.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    participant
        As this one may see it, who sees more after voting.
    as_csv
        Print a table for spreadsheets, a line for each option.
    """
    if as_csv and as_json:
        raise CliError("give either --csv or --json")
    if as_csv:
        _print_csv(call_polls(lambda polls: polls.get_results_csv(poll_id, participant=participant)))
        return
    found = call_polls(lambda polls: polls.get_results(poll_id, participant=participant))
    print_json(found) if as_json else print_results(found)


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll export ID --output results.csv\n"
    "  pollgate poll export ID --votes --output ballots.csv"
)
def export(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    votes: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
) -> None:
    """Write the results of a poll, or its ballots, as a table for spreadsheets (CSV), in which nothing is a formula.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    votes
        A line for each ballot, with a column for each option, of a poll that keeps names; takes the action results.
    output
        Where it goes, once all is there, for you alone to read; to standard output where this is left out.
    """
    what = "the ballots" if votes else "the results"
    table = call_polls(lambda polls: _ballots(polls, poll_id) if votes else polls.get_results_csv(poll_id))
    if output is None:
        _print_csv(table)
        return
    with written_whole(output, what) as file:
        file.write(table)
    print(f"Wrote {what} to {output}, {counted(len(table), 'byte')}.")


async def _ballots(polls: PollsClient, poll_id: str) -> bytes:
    ballots = [ballot async for ballot in polls.list_ballots(poll_id)]
    options = (await polls.get_results(poll_id)).options
    header = ("participant", "name", "cast at", *_headings(options), "comment")
    return csv_table(header, _lines(ballots, [option.id for option in options]))


def _headings(options: Sequence[OptionResult]) -> list[str]:
    """The titles, with their ids where another option has the same."""
    uses = Counter(option.title for option in options)
    return [f"{option.title} ({option.id})" if uses[option.title] > 1 else option.title for option in options]


def _lines(ballots: Sequence[Ballot], option_ids: Sequence[str]) -> Iterator[Sequence[Cell]]:
    for ballot in ballots:
        if not set(ballot.option_ids) <= set(option_ids):
            raise CliError("the poll was edited meanwhile; export it again")
        chosen = [CHOSEN if option_id in ballot.option_ids else None for option_id in option_ids]
        cast_at = ballot.cast_at.isoformat(timespec="seconds") if ballot.cast_at else None
        yield (ballot.participant, ballot.name, cast_at, *chosen, ballot.comment)


def _print_csv(content: bytes) -> None:
    """As it is, but for what a terminal would act on, where it goes to one."""
    if sys.stdout.isatty():
        print(plain(content.decode().replace("\r\n", "\n")), end="")
        return
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
