"""`pollgate poll list`, `show`, `create` and `templates`, and the group of all poll commands."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pollgate.cli.commands import (
    poll_audit,
    poll_comments,
    poll_link,
    poll_links,
    poll_results,
    poll_update,
    poll_vote,
    poll_watch,
)
from pollgate.cli.errors import UsageError
from pollgate.cli.field_options import option_of
from pollgate.cli.options import Json
from pollgate.cli.output import print_fields, print_json, print_table
from pollgate.cli.poll_fields import NO_FIELDS, PollFields, parse_options, warn_of_passed_end
from pollgate.cli.polls_session import collect_from_polls, polls_group, run_with_polls
from pollgate.cli.times import Past, format_end_date, format_exact_time, format_time
from pollgate.client import ChangeAfterVotes, Poll, PollSettings, PollStatus
from pollgate.client.encoding import without_none

READ_ONLY: Final = ("id", "status", "createdAt", "updatedAt", "results", "effect", "etag", "changedAfterVotes")
"""Fields of a poll that a new poll does not take."""

app = polls_group("poll", "Create, find, change and delete polls, vote in them, and read their results.")


@app.command(
    name="list",
    help_epilogue="Examples:\n\n"
    "  pollgate poll list --workspace PLAT --status open --expand\n"
    "  pollgate poll list --updated-since 1d --json",
)
def list_(
    *,
    workspace: str | None = None,
    content: str | None = None,
    container: str | None = None,
    status: PollStatus | None = None,
    updated_since: Past | None = None,
    expand: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    as_json: Json = False,
) -> None:
    """List the polls that the token may read and that meet all conditions, the oldest first. Times are in UTC.

    Parameters
    ----------
    workspace
        Polls of this Jira project or Confluence space.
    content
        Polls of this issue or page; requires --workspace.
    container
        Polls of this macro; requires --content.
    status
        Polls with this status.
    updated_since
        Polls changed at this time or later: 2027-01-31T12:00 (UTC without a zone), or how long ago, such as 7d.
    expand
        Include results; the table shows the number of participants.
    limit
        Maximum number of polls; all by default.
    """
    if limit is not None and limit < 1:
        raise UsageError("--limit must be at least 1")
    if content and not workspace:
        raise UsageError("--content requires --workspace")
    if container and not content:
        raise UsageError("--container requires --content")
    found = collect_from_polls(
        lambda polls: polls.list_polls(
            limit,
            workspace=workspace,
            content=content,
            container=container,
            status=status,
            updated_since=updated_since,
            with_results=expand,
        )
    )
    if as_json:
        print_json(found)
    elif found:
        _print_table(found, expand=expand)
    elif any(condition is not None for condition in (workspace, status, updated_since)):
        print("No poll meets these conditions.")
    else:
        print("There are no polls yet that this token may read; `pollgate poll create` creates one.")


@app.command(help_epilogue="Example:\n\n  pollgate poll show ee9107b5-5041-4c15-8c76-f14404fa1fad")
def show(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    expand: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Show a poll with its options, its settings and its ETag (for --if-match).

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    expand
        Include results, with --json.
    """
    poll = run_with_polls(lambda polls: polls.get_poll(poll_id, with_results=expand))
    print_json(poll) if as_json else print_fields(_fields(poll))


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll create --workspace PLAT --content PLAT-1 --template stars \\\n"
    "    --title 'How was it?'\n"
    "  pollgate poll create --workspace PLAT --content PLAT-1 --title 'Lunch?' \\\n"
    "    --option Yes --option 'no=No, thanks'\n"
    "  pollgate poll show ID --json \\\n"
    "    | pollgate poll create --content PLAT-2 --file -"
)
def create(
    *,
    workspace: str | None = None,
    content: str | None = None,
    container: str | None = None,
    template: str | None = None,
    fields: Annotated[PollFields, Parameter(name="*")] = NO_FIELDS,
    as_json: Json = False,
) -> None:
    """Create a poll and show it. After a lost response the request is repeated, and creates one poll.

    Parameters
    ----------
    workspace
        Key of the Jira project, or id of the Confluence space.
    content
        Key of the issue, or id of the page.
    container
        Id of the macro on the page.
    template
        Template to start from; see `pollgate poll templates`.
    """
    body = {name: value for name, value in fields.to_body().items() if name not in READ_ONLY}
    place = without_none({"workspace": workspace, "content": content, "container": container})
    body |= _location(body, place)
    body |= without_none({"template": template})
    if fields.option is not None:
        body["options"] = parse_options(fields.option)
    _require_question(body)
    given = [*(f"/location/{name}" for name in place), *(["/template"] if template is not None else [])]
    options = {**{pointer: option_of(pointer) for pointer in given}, **fields.options()}
    poll = run_with_polls(lambda polls: polls.create_poll(body), options, has_file=fields.file is not None)
    warn_of_passed_end(poll)
    print_json(poll) if as_json else print_fields(_fields(poll))


@app.command(help_epilogue="Example:\n\n  pollgate poll templates")
def templates(*, as_json: Json = False) -> None:
    """List the templates for new polls. Results of a poll from a scored template have an average."""
    found = run_with_polls(lambda polls: polls.list_templates())
    if as_json:
        print_json(found)
        return
    rows = (
        (each.id, each.name, ", ".join(option.title for option in each.options), "yes" if each.scored else "no")
        for each in found
    )
    print_table(("Id", "Name", "Options", "Scored"), rows, foldable=("Name", "Options"))


for more in (
    poll_audit.app,
    poll_comments.app,
    poll_link.app,
    poll_links.app,
    poll_update.app,
    poll_results.app,
    poll_vote.app,
    poll_watch.app,
):
    for command_name, command in more.resolved_commands().items():
        if not command_name.startswith("-"):
            app.command(command, name=command_name)


def _location(body: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """Return the place of the poll, where options take precedence over the file. Raise `UsageError`."""
    in_file = body.get("location", {})
    location = {**in_file, **options} if isinstance(in_file, dict) else in_file
    if isinstance(location, dict):
        _require(location, "the poll has no place", {"workspace": "--workspace PLAT", "content": "--content PLAT-1"})
    return {"location": location}


def _require_question(body: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a poll without a template that has no title or no options."""
    if "template" not in body:
        _require(
            body,
            "the poll has no question; a --template has one",
            {"title": "--title 'Lunch?'", "options": "--option Yes"},
        )


def _require(body: Collection[str], problem: str, options: Mapping[str, str]) -> None:
    """Raise `UsageError` with an example of the option for each part that the body does not have."""
    missing = [example for name, example in options.items() if name not in body]
    if missing:
        names = " and ".join(example.partition(" ")[0] for example in missing)
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{problem}: {names} {are} missing, such as {' '.join(missing)}")


def _print_table(polls: Sequence[Poll], *, expand: bool) -> None:
    columns = ("Id", "Title", "Status", "Place", *(("Participants",) if expand else ()), "Updated (UTC)")
    print_table(columns, (_row(poll, expand=expand) for poll in polls), foldable=("Title", "Place"))


def _row(poll: Poll, *, expand: bool) -> tuple[str, ...]:
    participants = poll.results.participants if poll.results else None
    number = ("withheld" if participants is None else str(participants),) if expand else ()
    return (poll.id, poll.title, poll.status, str(poll.location), *number, format_time(poll.updated_at))


def _fields(poll: Poll) -> list[tuple[str, str]]:
    fields = [
        ("Id", poll.id),
        ("Title", poll.title),
        ("Description", poll.description),
        ("Status", poll.status),
        ("Place", str(poll.location)),
        ("Options", "\n".join(f"{option.id}={option.title}" for option in poll.options)),
        ("Ballots", _ballots(poll.settings)),
        ("Results", _visibility(poll.settings)),
        ("Ends", _end(poll.settings)),
        ("Created", format_exact_time(poll.created_at)),
        ("Updated", format_exact_time(poll.updated_at)),
        ("Changed after votes", "\n".join(_change(change) for change in poll.changed_after_votes)),
        ("ETag", poll.etag or ""),
    ]
    return [(name, value) for name, value in fields if value]


def _change(change: ChangeAfterVotes) -> str:
    return f"{change.consequence}, {format_exact_time(change.at)}"


def _ballots(settings: PollSettings) -> str:
    return "\n".join(
        (
            "contain one or more options" if settings.allow_selection_of_multiple_options else "contain one option",
            "can be replaced" if settings.allow_revote else "are final",
            "are stored with names" if settings.save_participant_names else "are stored without names",
            "may have comments" if settings.allow_comment else "have no comments",
        )
    )


def _visibility(settings: PollSettings) -> str:
    return settings.results_visibility + (", without numbers of votes" if settings.hide_absolute_numbers else "")


def _end(settings: PollSettings) -> str:
    if not settings.end_date:
        return ""
    closes = ", when the poll closes" if settings.close_poll_on_end_date else ""
    return format_end_date(settings.end_date) + closes
