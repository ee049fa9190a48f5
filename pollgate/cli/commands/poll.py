"""`pollgate poll`: find, show and make polls; the other commands are in modules of their own."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pollgate.cli.commands import poll_results, poll_update, poll_vote, poll_watch
from pollgate.cli.errors import CliError
from pollgate.cli.output import print_fields, print_json, print_table
from pollgate.cli.poll_fields import NO_FIELDS, PollFields, written_options
from pollgate.cli.polls_session import call_polls, gather_polls, integration
from pollgate.cli.session import Json
from pollgate.cli.times import Past, told, told_exactly
from pollgate.client import Poll, PollSettings, PollStatus
from pollgate.client.encoding import without_none

ANSWERED: Final = ("id", "status", "createdAt", "updatedAt", "results", "effect", "etag")
"""What a poll has that is shown, and a new one does not begin with."""
_OPTIONS: Final = {
    "/location/workspace": "--workspace",
    "/location/content": "--content",
    "/location/container": "--container",
    "/template": "--template",
}

app = integration("poll", "Make, find, change and delete polls, vote in them, and read their results.")


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
    """List the polls that the token may read and that meet every condition given, the oldest first; times are shown
    in UTC.

    Parameters
    ----------
    workspace
        Those of this Jira project, or Confluence space.
    content
        Those of this issue or page; takes --workspace.
    container
        Those of this macro; takes --content.
    status
        Those that are so now.
    updated_since
        Those edited at this time or later: 2027-01-31T12:00 (local time), or how long ago, as 7d.
    expand
        With their results: in the table, how many have voted.
    limit
        How many at most; all where this is left out.
    """
    if limit is not None and limit < 1:
        raise CliError("--limit is at least 1")
    if content and not workspace:
        raise CliError("--content needs --workspace")
    if container and not content:
        raise CliError("--container needs --content")
    found = gather_polls(
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
        print("There are no polls yet that this token may read; `pollgate poll create` makes one.")


@app.command(help_epilogue="Example:\n\n  pollgate poll show ee9107b5-5041-4c15-8c76-f14404fa1fad")
def show(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    expand: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Show one poll: its options, how it may be answered, and its ETag, for --if-match.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    expand
        With its results, for --json.
    """
    poll = call_polls(lambda polls: polls.get_poll(poll_id, with_results=expand))
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
    """Make a poll, and show it. It is made once, also where the answer is lost and it has to be asked for again.

    Parameters
    ----------
    workspace
        The key of the Jira project, or the id of the Confluence space, that it is in.
    content
        The key of the issue, or the id of the page.
    container
        The id of the macro on the page.
    template
        What it begins with, as `pollgate poll templates` lists them.
    """
    body = {name: value for name, value in fields.to_body().items() if name not in ANSWERED}
    body |= _location(body, without_none({"workspace": workspace, "content": content, "container": container}))
    body |= without_none({"template": template})
    if fields.option is not None:
        body["options"] = written_options(fields.option)
    _require_question(body)
    poll = call_polls(lambda polls: polls.create_poll(body), {} if fields.file else {**_OPTIONS, **fields.options()})
    print_json(poll) if as_json else print_fields(_fields(poll))


@app.command(help_epilogue="Example:\n\n  pollgate poll templates")
def templates(*, as_json: Json = False) -> None:
    """List what a new poll can begin with. Results of one with the options of a scored template have an average."""
    found = call_polls(lambda polls: polls.list_templates())
    if as_json:
        print_json(found)
        return
    rows = (
        (each.id, each.name, ", ".join(option.title for option in each.options), "yes" if each.scored else "no")
        for each in found
    )
    print_table(("Id", "Name", "Options", "Scored"), rows, broken=("Name", "Options"))


for more in (poll_update.app, poll_results.app, poll_vote.app, poll_watch.app):
    for command_name, command in more.resolved_commands().items():
        if not command_name.startswith("-"):
            app.command(command, name=command_name)


def _location(body: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """Where the poll is to be, of which the options take precedence over the file. Raises `CliError`."""
    in_file = body.get("location", {})
    location = {**in_file, **options} if isinstance(in_file, dict) else in_file
    if isinstance(location, dict):
        _require(
            location, "say where the poll is to be", {"workspace": "--workspace PLAT", "content": "--content PLAT-1"}
        )
    return {"location": location}


def _require_question(body: Mapping[str, Any]) -> None:
    """Raises `CliError` where a poll that begins with nothing has no title or no options."""
    if "template" not in body:
        _require(
            body,
            "say what is asked, or begin with a --template",
            {"title": "--title 'Lunch?'", "options": "--option Yes"},
        )


def _require(body: Collection[str], wanted: str, options: Mapping[str, str]) -> None:
    """Raises `CliError`, with an example of each option by which a part of the body would be given that it has not."""
    missing = [example for name, example in options.items() if name not in body]
    if missing:
        names = " and ".join(example.partition(" ")[0] for example in missing)
        are = "is" if len(missing) == 1 else "are"
        raise CliError(f"{wanted}: {names} {are} missing, as in {' '.join(missing)}")


def _print_table(polls: Sequence[Poll], *, expand: bool) -> None:
    columns = ("Id", "Title", "Status", "Where", *(("Participants",) if expand else ()), "Updated (UTC)")
    print_table(columns, (_row(poll, expand=expand) for poll in polls), broken=("Title", "Where"))


def _row(poll: Poll, *, expand: bool) -> tuple[str, ...]:
    participants = poll.results.participants if poll.results else None
    number = ("withheld" if participants is None else str(participants),) if expand else ()
    return (poll.id, poll.title, poll.status, str(poll.location), *number, told(poll.updated_at))


def _fields(poll: Poll) -> list[tuple[str, str]]:
    fields = [
        ("Id", poll.id),
        ("Title", poll.title),
        ("Description", poll.description),
        ("Status", poll.status),
        ("Where", str(poll.location)),
        ("Options", "\n".join(f"{option.id}={option.title}" for option in poll.options)),
        ("Takes", _takes(poll.settings)),
        ("Results", _shown(poll.settings)),
        ("Ends", poll.settings.end_date + (", and takes no votes from then on" if _closes(poll) else "")),
        ("Created", told_exactly(poll.created_at)),
        ("Updated", told_exactly(poll.updated_at)),
        ("ETag", poll.etag or ""),
    ]
    return [(name, value) for name, value in fields if value]


def _takes(settings: PollSettings) -> str:
    return "\n".join(
        (
            "several options" if settings.allow_selection_of_multiple_options else "one option",
            "another ballot in place of the first" if settings.allow_revote else "one ballot for good",
            "names, which are kept" if settings.save_participant_names else "no names",
            "comments" if settings.allow_comment else "no comments",
        )
    )


def _shown(settings: PollSettings) -> str:
    return settings.results_visibility + (", without numbers of votes" if settings.hide_absolute_numbers else "")


def _closes(poll: Poll) -> bool:
    return poll.settings.close_poll_on_end_date
