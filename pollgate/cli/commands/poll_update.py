"""`pollgate poll update` and `delete`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

from pollgate.cli.errors import CliError
from pollgate.cli.output import counted, on_one_line, print_json
from pollgate.cli.poll_fields import NO_FIELDS, PollFields, all_have_ids, written_options
from pollgate.cli.polls_session import call_polls, integration
from pollgate.cli.session import Json
from pollgate.client import EditEffect, Forbidden, Poll, PollsClient

app = integration("poll", "Change and delete polls.")


def _tags(_: Any, tokens: Sequence[Token]) -> str:
    """The tag in the quotes that belong to it, which a shell takes off."""
    text = tokens[0].value
    return text if text == "*" or '"' in text else f'"{text}"'


IfMatch = Annotated[
    str | None,
    Parameter(
        converter=_tags,
        metavar="ETAG",
        help="Only if its ETag, as `pollgate poll show` tells it, is still this one, with or without its quotes.",
    ),
]


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll update ID --title 'Lunch on Friday?' --hide-numbers\n"
    "  pollgate poll update ID --option Yes --option No --option Maybe\n"
    "  pollgate poll update ID --close"
)
def update(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    fields: Annotated[PollFields, Parameter(name="*")] = NO_FIELDS,
    drop_votes: Annotated[bool, Parameter(negative="")] = False,
    close: Annotated[bool, Parameter(negative="")] = False,
    if_match: IfMatch = None,
    as_json: Json = False,
) -> None:
    """Give some fields of a poll other values; those that are left out stay.

    Options are given all together, and keep their votes: one by its title is
    the option that has this title, ID=TITLE gives the option of this id
    another title, and what is left out is taken away.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    drop_votes
        Take options away that have votes, with these.
    close
        Close the poll now, and change nothing else.
    """
    body = fields.to_body()
    body.pop("etag", None)
    if close and (body or fields.option is not None):
        raise CliError("--close stands alone: make the other changes first")
    if not (close or body or fields.option is not None):
        raise CliError("say what to change; `pollgate poll update --help` lists it")

    async def change(polls: PollsClient) -> Poll:
        if close:
            return await polls.close_poll(poll_id, if_match=if_match)
        compared = await _with_options(polls, poll_id, fields, body)
        return await polls.change_poll(poll_id, body, if_match=if_match or compared, drop_votes=drop_votes)

    poll = call_polls(change, fields.options())
    if as_json:
        print_json(poll)
    else:
        print(on_one_line(f"{'Closed' if close else 'Updated'} {poll.id}{_told(poll.effect)}."))


@app.command(help_epilogue="Example:\n\n  pollgate poll delete ee9107b5-5041-4c15-8c76-f14404fa1fad")
def delete(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    if_match: IfMatch = None,
) -> None:
    """Delete a poll for good, with all its votes.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    yes
        Do not ask; required where nobody can be asked.
    """
    if not yes:
        _confirm(poll_id)
    call_polls(lambda polls: polls.delete_poll(poll_id, if_match=if_match))
    print(on_one_line(f"Deleted {poll_id}."))


async def _with_options(polls: PollsClient, poll_id: str, fields: PollFields, body: dict[str, Any]) -> str | None:
    """Put the options that are given into the body; the ETag of the poll that they were compared with, if any."""
    if fields.option is None:
        return None
    if all_have_ids(fields.option):
        body["options"] = written_options(fields.option)
        return None
    poll = await polls.get_poll(poll_id)
    body["options"] = written_options(fields.option, poll.options)
    return poll.etag


def _told(effect: EditEffect | None) -> str:
    if effect is None:
        return ""
    parts = []
    if effect.dropped_votes:
        options = ", ".join(f"'{option}'" for option in effect.dropped_options)
        parts.append(f"took away {options} with {counted(effect.dropped_votes, 'vote')}")
    if effect.dropped_ballots:
        parts.append(f"{counted(effect.dropped_ballots, 'ballot')} had no other")
    if effect.anonymized_ballots:
        parts.append(f"took the names off {counted(effect.anonymized_ballots, 'ballot')}")
    return "".join(f"; {part}" for part in parts)


def _confirm(poll_id: str) -> None:
    """Ask whoever sits at a terminal. Raises `CliError`."""
    if not sys.stdin.isatty():
        raise CliError("deleting a poll takes --yes where nobody can be asked")
    question = f"This deletes {on_one_line(_described(poll_id))} with all its votes for good. Go on? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was deleted")


def _described(poll_id: str) -> str:
    """The poll by its title, where the token may read it."""

    async def describe(polls: PollsClient) -> str:
        try:
            return f"'{(await polls.get_poll(poll_id)).title}'"
        except Forbidden:
            return poll_id

    return call_polls(describe)
