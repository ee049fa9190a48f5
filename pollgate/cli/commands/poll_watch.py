"""`pollgate poll watch`: what becomes of a poll, as it happens."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.charts import results_line
from pollgate.cli.error_messages import error_message
from pollgate.cli.errors import CliError
from pollgate.cli.output import json_line, plain
from pollgate.cli.polls_session import call_polls, integration, polls_target
from pollgate.cli.session import Json
from pollgate.client import NotFound, PollClosed, PollEvent, PollsClient, PollUpdate, RequestRejected, ResultsUpdate

app = integration("poll", "Follow what becomes of polls.")


@app.command(help_epilogue="Examples:\n\n  pollgate poll watch ID\n  pollgate poll watch ID --json | jq .results.votes")
def watch(poll_id: Annotated[str, Parameter(metavar="ID")], /, *, as_json: Json = False) -> None:
    """Print a line for each change of a poll and of its results, until it is deleted or you end it with Ctrl-C.

    Where the connection is lost it is made anew, and what has changed meanwhile
    is told. Ends with status 1 where the token works no more. With --json each
    line is a JSON object.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
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
            raise CliError("the poll was deleted, or the token no longer reaches it") from None
        except RequestRejected as error:
            if not has_begun:
                raise
            raise CliError(f"the events have ended: {error_message(error, polls_target())}") from None

    call_polls(print_events)


def _line(event: PollEvent) -> str:
    match event:
        case ResultsUpdate():
            at, told = event.results.calculated_at, f"results  {results_line(event.results)}"
        case PollUpdate():
            at, told = event.poll.updated_at, f"poll     {event.poll.title} ({event.poll.status})"
        case PollClosed():
            at, told = datetime.now(UTC), "closed   nobody can vote any more"
        case _:
            at, told = datetime.now(UTC), "deleted  the poll is gone"
    return plain(f"{at.astimezone(UTC):%H:%M:%S}  {told}").replace("\n", " ")
