"""`pollgate poll update` and `delete`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.options import Json
from pollgate.cli.output import escape_line, pluralize, print_json
from pollgate.cli.poll_fields import NO_FIELDS, PollFields, all_have_ids, parse_options, warn_of_passed_end
from pollgate.cli.polls_session import polls_group, run_with_polls
from pollgate.cli.times import format_end_date
from pollgate.client import EditEffect, Forbidden, Poll, PollsClient

app = polls_group("poll", "Change and delete polls.")


Flag = Literal["revealResults", "reopen", "changeTitle", "renameOptions", "saveNames"]


def _quote_tag(_: Any, tokens: Sequence[Token]) -> str:
    """Return the ETag with its quotes, which shells remove."""
    text = tokens[0].value
    return text if text == "*" or '"' in text else f'"{text}"'


IfMatch = Annotated[
    str | None,
    Parameter(
        converter=_quote_tag,
        metavar="ETAG",
        help="Only if the poll still has this ETag, as in `pollgate poll show`, with or without quotes.",
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
    allow: Annotated[list[Flag] | None, Parameter(negative="", metavar="FLAG")] = None,
    close: Annotated[bool, Parameter(negative="")] = False,
    if_match: IfMatch = None,
    as_json: Json = False,
) -> None:
    """Change some fields of a poll. Fields that are not given stay the same.

    --option replaces all options. An option with the title of an existing one
    keeps its votes, ID=TITLE changes the title of the option with this id, and
    options that are not given are removed.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    drop_votes
        Remove options even if they have votes, with these votes.
    allow
        Break this promise to participants who have voted. Everyone who reads the poll can see that. Repeatable.
    close
        Close the poll now; no other change in the same command.
    """
    body = fields.to_body()
    body.pop("etag", None)
    if close and (body or fields.option is not None):
        raise UsageError("--close cannot be combined with other changes; make them first")
    if not (close or body or fields.option is not None):
        raise UsageError("nothing to change; see `pollgate poll update --help`")

    async def change(polls: PollsClient) -> Poll:
        if close:
            return await polls.close_poll(poll_id, if_match=if_match)
        compared = await _add_options(polls, poll_id, fields, body)
        condition = if_match or compared
        return await polls.change_poll(poll_id, body, if_match=condition, drop_votes=drop_votes, allow=allow or ())

    poll = run_with_polls(change, fields.options(), has_file=fields.file is not None)
    if fields.ends:
        warn_of_passed_end(poll)
    if as_json:
        print_json(poll)
    else:
        ends = "" if fields.ends is None else f"; ends {format_end_date(poll.settings.end_date)}"
        print(escape_line(f"{'Closed' if close else 'Updated'} {poll.id}{ends}{_effect(poll.effect)}."))


@app.command(help_epilogue="Example:\n\n  pollgate poll delete ee9107b5-5041-4c15-8c76-f14404fa1fad")
def delete(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    if_match: IfMatch = None,
) -> None:
    """Delete a poll with all its votes, permanently.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    yes
        Do not ask for confirmation; required without a terminal.
    """
    if not yes:
        _confirm(poll_id)
    run_with_polls(lambda polls: polls.delete_poll(poll_id, if_match=if_match))
    print(escape_line(f"Deleted {poll_id}."))


async def _add_options(polls: PollsClient, poll_id: str, fields: PollFields, body: dict[str, Any]) -> str | None:
    """Add the options to the body, and return the ETag of the poll that they were compared with, if any."""
    if fields.option is None:
        return None
    if all_have_ids(fields.option):
        body["options"] = parse_options(fields.option)
        return None
    poll = await polls.get_poll(poll_id)
    body["options"] = parse_options(fields.option, poll.options)
    return poll.etag


def _effect(effect: EditEffect | None) -> str:
    if effect is None:
        return ""
    parts = []
    if effect.dropped_votes:
        options = ", ".join(f"'{option}'" for option in effect.dropped_options)
        parts.append(f"removed {options} with {pluralize(effect.dropped_votes, 'vote')}")
    if effect.dropped_ballots:
        parts.append(f"removed {pluralize(effect.dropped_ballots, 'ballot')} without other options")
    if effect.anonymized_ballots:
        parts.append(f"removed the names from {pluralize(effect.anonymized_ballots, 'ballot')}")
    broken = [each for each in effect.consequences if each != "dropVotes"]
    if broken:
        parts.append(f"the poll shows that this was done after votes: {', '.join(broken)}")
    return "".join(f"; {part}" for part in parts)


def _confirm(poll_id: str) -> None:
    """Ask for confirmation. Raise `CliError` without it, or without a terminal."""
    if not sys.stdin.isatty():
        raise UsageError("deleting a poll without a terminal requires --yes")
    question = f"This permanently deletes {escape_line(_describe(poll_id))} with all its votes. Continue? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was deleted")


def _describe(poll_id: str) -> str:
    """Return the title of the poll, or its id where the token may not read it."""

    async def title_or_id(polls: PollsClient) -> str:
        try:
            return f"'{(await polls.get_poll(poll_id)).title}'"
        except Forbidden:
            return poll_id

    return run_with_polls(title_or_id)
