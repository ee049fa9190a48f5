"""`pollgate poll comments`: the comments of a poll, without their participants."""

from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.options import Json
from pollgate.cli.output import print_json, print_table
from pollgate.cli.polls_session import collect_from_polls, polls_group

app = polls_group("poll", "Read the comments of a poll.")


@app.command(help_epilogue="Example:\n\n  pollgate poll comments ee9107b5-5041-4c15-8c76-f14404fa1fad")
def comments(poll_id: Annotated[str, Parameter(metavar="ID")], /, *, as_json: Json = False) -> None:
    """List the comments of a poll, without participants and choices, in no particular order.

    The token must have the action results.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    """
    found = collect_from_polls(lambda polls: polls.list_comments(poll_id))
    if as_json:
        print_json(found)
    elif found:
        rows = ((str(comment.ballots), comment.comment) for comment in found)
        print_table(("Ballots", "Comment"), rows, foldable=("Comment",))
    else:
        print("The poll has no comments.")
