"""`pollgate poll watch`: the changes of a poll, as they happen."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.charts import results_line
from pollgate.cli.error_messages import error_message
from pollgate.cli.errors import CliError
from pollgate.cli.options import Json
from pollgate.cli.output import escape, json_line
from pollgate.cli.polls_session import polls_group, polls_target, run_with_polls
from pollgate.client import NotFound, PollClosed, PollEvent, PollsClient, PollUpdate, RequestRejected, ResultsUpdate

app = polls_group("poll", "Follow the changes of polls.")


@app.command(help_epilogue="Examples:\n\n  pollgate poll watch ID\n  pollgate poll watch ID --json | jq .results.votes")
def watch(poll_id: Annotated[str, Parameter(metavar="ID")], /, *, as_json: Json = False) -> None:
    """Print a line for each change of a poll and of its results, until the poll is deleted, or Ctrl-C.

    A lost connection is opened again, and the latest state is printed. Exit
    status 1 when the token no longer works. With --json each line is a JSON
    object.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    """

    async def print_events(polls: PollsClient) -> None:
        has_begun = False
        try:
            async for event in polls.stream_events(poll_id):
                has_begun = True
                print(json_line(event) if as_json else _line(event), flush=True)
        except NotFound as error:
            if not has_begun or error.type != "unknown-poll":
                raise
            raise CliError("the poll was deleted, or the token no longer has access to it") from None
        except RequestRejected as error:
            if not has_begun:
                raise
            raise CliError(f"the events have ended: {error_message(error, polls_target())}") from None

    run_with_polls(print_events)


def _line(event: PollEvent) -> str:
    match event:
        case ResultsUpdate():
            at, text = event.results.calculated_at, f"results  {results_line(event.results)}"
        case PollUpdate():
            at, text = event.poll.updated_at, f"poll     {event.poll.title} ({event.poll.status})"
        case PollClosed():
            at, text = datetime.now(UTC), "closed   no more votes"
        case _:
            at, text = datetime.now(UTC), "deleted  the poll was deleted"
    return escape(f"{at.astimezone(UTC):%H:%M:%S}  {text}").replace("\n", " ")
