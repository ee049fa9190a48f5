"""`pollgate poll results` and `export`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from pollgate.cli.atomic_file import atomic_file
from pollgate.cli.charts import print_results
from pollgate.cli.csv_output import Excel, print_csv
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.options import Json
from pollgate.cli.output import pluralize, print_json
from pollgate.cli.polls_session import polls_group, run_with_polls
from pollgate.client import Ballot, OptionResult, PollsClient
from shared.runtime.http.csv_table import Cell, csv_table

app = polls_group("poll", "Read and export the results of polls.")

CHOSEN: Final = 1
"""The cell of an option that a ballot contains; the others are empty."""


@app.command(help_epilogue="Examples:\n\n  pollgate poll results ID\n  pollgate poll results ID --json | jq .average")
def results(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    participant: Annotated[str | None, Parameter(name="--as", metavar="PARTICIPANT")] = None,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    excel: Excel = False,
    as_json: Json = False,
) -> None:
    """Show the results of a poll, as far as the token may see them.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    participant
        Show the results that this participant may see, which are more after voting.
    as_csv
        Print CSV for spreadsheets, one line per option.
    """
    if (as_csv or excel) and as_json:
        raise UsageError("give either --csv or --json")
    if as_csv or excel:
        print_csv(run_with_polls(lambda polls: polls.get_results_csv(poll_id, participant=participant, with_bom=excel)))
        return
    found = run_with_polls(lambda polls: polls.get_results(poll_id, participant=participant))
    print_json(found) if as_json else print_results(found)


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll export ID --output results.csv\n"
    "  pollgate poll export ID --votes --excel --output ballots.csv"
)
def export(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    votes: Annotated[bool, Parameter(negative="")] = False,
    excel: Excel = False,
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
) -> None:
    """Write the results of a poll, or its ballots, as CSV for spreadsheets, without formulas.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    votes
        Write ballots: one line each, with a column per option. Requires stored names, and the action results.
    output
        File to write, readable only by you, which appears when it is complete; standard output by default.
    """
    what = "the ballots" if votes else "the results"
    table = run_with_polls(
        lambda polls: (
            _ballots(polls, poll_id, with_bom=excel) if votes else polls.get_results_csv(poll_id, with_bom=excel)
        )
    )
    if output is None:
        print_csv(table)
        return
    with atomic_file(output, what) as file:
        file.write(table)
    print(f"Wrote {what} to {output}, {pluralize(len(table), 'byte')}.")


async def _ballots(polls: PollsClient, poll_id: str, *, with_bom: bool) -> bytes:
    ballots = [ballot async for ballot in polls.list_ballots(poll_id)]
    options = (await polls.get_results(poll_id)).options
    header = ("participant", "name", "cast at", *_headings(options), "comment")
    return csv_table(header, _lines(ballots, [option.id for option in options]), with_bom=with_bom)


def _headings(options: Sequence[OptionResult]) -> list[str]:
    """Return the titles of the options, with their ids where titles are equal."""
    uses = Counter(option.title for option in options)
    return [f"{option.title} ({option.id})" if uses[option.title] > 1 else option.title for option in options]


def _lines(ballots: Sequence[Ballot], option_ids: Sequence[str]) -> Iterator[Sequence[Cell]]:
    for ballot in ballots:
        choice = ballot.option_ids or ()
        if not set(choice) <= set(option_ids):
            raise CliError("the poll was changed during the export; export it again")
        chosen = [CHOSEN if option_id in choice else None for option_id in option_ids]
        cast_at = ballot.cast_at.isoformat(timespec="seconds") if ballot.cast_at else None
        yield (ballot.participant, ballot.name, cast_at, *chosen, ballot.comment)
