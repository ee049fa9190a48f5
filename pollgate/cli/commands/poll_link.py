"""`pollgate poll link`: create voting links."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal, NamedTuple

from cyclopts import Parameter, Token
from msgspec import UNSET, UnsetType

from pollgate.cli.atomic_file import atomic_file
from pollgate.cli.csv_output import Excel, print_csv
from pollgate.cli.error_messages import cli_error
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.link_limits import describe_limits
from pollgate.cli.options import Json
from pollgate.cli.output import escape_line, pluralize, print_fields, print_json, print_table
from pollgate.cli.participants_file import Row, read_participants
from pollgate.cli.polls_session import polls_group, polls_target, run_with_polls
from pollgate.cli.times import FutureEnd, format_exact_time
from pollgate.client import ClientError, NewLink, PollsClient
from shared.runtime.http.csv_table import csv_table
from shared.runtime.text.times import format_rfc3339

COLUMNS: Final = ("participant", "name", "url", "id", "expires at")
"""The columns of the CSV, as in the API's."""
_OPTIONS: Final = {
    "/kind": "--shared",
    **dict.fromkeys(("participant", "/participant"), "--participant"),
    **dict.fromkeys(("expires_at", "/expiresAt"), "--expires"),
}

app = polls_group("poll", "Create voting links.")


def _convert_limit(_: Any, tokens: Sequence[Token]) -> int | Literal["none"]:
    text = tokens[0].value
    if text == "none":
        return "none"
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"'{text}' is neither a number nor none")
    return int(text)


NumberOrNone = Annotated[int | Literal["none"], Parameter(converter=_convert_limit, metavar="N", show_choices=False)]


class _Shape(NamedTuple):
    """The form in which new links are printed, or the file that they are written to."""

    as_json: bool
    as_csv: bool
    excel: bool
    file: Path | None
    overwrite: bool


class _Created(NamedTuple):
    """The links that were created, and the error for those that were not."""

    links: Sequence[NewLink]
    error: CliError | None = None


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll link ID --shared --label 'Team page' --expires 7d\n"
    "  pollgate poll link ID --participant ada --name 'Ada Lovelace'\n"
    "  pollgate poll link ID --participants team.csv --output links.csv",
)
def link(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    shared: Annotated[bool, Parameter(negative="")] = False,
    label: str | None = None,
    max_participants: NumberOrNone | None = None,
    max_per_address: NumberOrNone | None = None,
    participant: str | None = None,
    name: str | None = None,
    participants: Annotated[str | None, Parameter(metavar="FILE", allow_leading_hyphen=True)] = None,
    expires: FutureEnd | None = None,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    excel: Excel = False,
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Create voting links, by which people vote on a page without a token, and print their addresses. An address is
    not shown again.

    A personal link is for one participant, who has one ballot, also with several
    links. A shared link is for everyone who gets to know it, and each browser is
    a participant. The token must have the action vote.

    Parameters
    ----------
    shared
        Create a shared link.
    label
        Where the shared link is published, 1 to 255 characters.
    max_participants
        How many participants can vote by the shared link, or none for no limit, the default.
    max_per_address
        How many of them from one address, or none for no limit; 100 by default. A company may have one address.
    participant
        Create a personal link for the participant with this id in your system.
    name
        Name of the participant to show, stored only where the poll stores names.
    participants
        Create personal links for the participants in this file, or - for standard input: CSV with the column
        participant (or id, email, e-mail or user) and optionally name, or a list with one id on each line.
    expires
        End, in UTC unless it has a zone: 2027-01-31 (its last moment) or 2027-01-31T12:00+09:00; how long from now,
        such as 7d; or never, the default. A link ends with its poll too.
    as_csv
        Print CSV for a mail merge.
    output
        File to write the CSV to, readable only by you, which appears when it is complete. A file that exists is
        refused, because it may be the only copy of addresses.
    overwrite
        Replace the --output file if it exists.
    """
    shape = _Shape(as_json, as_csv or excel or output is not None, excel, output, overwrite)
    if overwrite and output is None:
        raise UsageError("--overwrite is for a file that --output names")
    if as_json:
        _require_no_csv({"--csv": as_csv, "--excel": excel, "--output": output is not None})
    limits = {"--label": label, "--max-participants": max_participants, "--max-per-address": max_per_address}
    _require_one_kind({"--shared": shared, "--participant": participant, "--participants": participants}, name, limits)
    expires_at = None if expires == "never" else expires
    if participants is not None:
        rows = read_participants(participants)
        _write(lambda: _create_for(poll_id, rows, expires_at), shape, is_list=True)
        return

    async def create(polls: PollsClient) -> NewLink:
        if participant is not None:
            return await polls.create_personal_link(poll_id, participant, name=name, expires_at=expires_at)
        return await polls.create_shared_link(
            poll_id,
            label=label,
            max_participants=None if max_participants == "none" else max_participants,
            max_per_address=_per_address(max_per_address),
            expires_at=expires_at,
        )

    _write(lambda: _Created([run_with_polls(create, _OPTIONS)]), shape)


def _require_no_csv(given: Mapping[str, bool]) -> None:
    """Raise `UsageError` if an option for CSV is given besides --json."""
    option = next((option for option, is_given in given.items() if is_given), None)
    if option == "--output":
        raise UsageError("--output writes CSV, not JSON; leave out --json, or redirect the output of --json to a file")
    if option is not None:
        raise UsageError(f"give either {option} or --json")


def _require_one_kind(kinds: Mapping[str, object], name: str | None, limits: Mapping[str, object]) -> None:
    """Raise `UsageError` unless it is clear who the links are for, and each other option fits that."""
    given = [option for option, value in kinds.items() if value not in (None, False)]
    if len(given) != 1:
        raise UsageError("give one of --shared, --participant and --participants: who the link is for")
    misplaced = next((option for option, value in limits.items() if value is not None), None)
    if misplaced is not None and given != ["--shared"]:
        raise UsageError(f"{misplaced} is for a --shared link; a personal link is for one participant")
    if name is not None and given != ["--participant"]:
        raise UsageError("--name is for one --participant; a file has names in its column name")


def _per_address(given: int | Literal["none"] | None) -> int | UnsetType | None:
    """Return the limit for the client, where `None` is no limit."""
    if given is None:
        return UNSET
    return None if given == "none" else given


def _create_for(poll_id: str, rows: Sequence[Row], expires_at: datetime | None) -> _Created:
    """Create a link for each participant. After an error, return those that were created until then."""

    async def create(polls: PollsClient) -> _Created:
        links: list[NewLink] = []
        invitations = [row.invitation for row in rows]
        try:
            async for each in polls.create_personal_links(poll_id, invitations, expires_at=expires_at):
                links.append(each)  # noqa: PERF401 - an error leaves those before it
        except ClientError as error:
            return _Created(links, cli_error(error, polls_target()._replace(options=_lines(rows[len(links) :]))))
        return _Created(links)

    created = run_with_polls(create)
    if created.error is None or not created.links:
        return created
    done, line = len(created.links), rows[len(created.links)].line
    rest = f"the first {done:,} of {len(rows):,} links were created; those from line {line:,} on are missing"
    return created._replace(error=CliError(f"{rest}: {created.error}"))


def _lines(rows: Sequence[Row]) -> dict[str, str]:
    """Return how to name the participants of a batch that begins with the first row."""
    lines = {f"/participants/{index}": f"--participants (line {row.line:,})" for index, row in enumerate(rows)}
    return {**_OPTIONS, **lines}


def _write(create: Callable[[], _Created], shape: _Shape, *, is_list: bool = False) -> None:
    """Create links and print them, or write them to the file, which is opened before that.

    Raise `CliError`, but not before the links that were created are printed: their addresses would be lost.
    """
    with nullcontext() if shape.file is None else _open(shape.file, overwrite=shape.overwrite) as file:
        links, error = create()
        if error is not None and not links:
            raise error
        if file is not None:
            file.write(_table(links, shape))
    if shape.file is not None:
        print(f"Wrote {pluralize(len(links), 'link')} to {escape_line(str(shape.file))}. {_describe_once(len(links))}")
    elif shape.as_csv:
        print_csv(_table(links, shape))
    elif shape.as_json:
        print_json(links if is_list else links[0])
    elif is_list:
        rows = ((each.participant or "", each.name or "", each.url) for each in links)
        print_table(("Participant", "Name", "Address"), rows, foldable=("Participant", "Name"))
        print(f"\n{_describe_once(len(links))}")
    else:
        print_fields(_fields(links[0]))
        print(f"\n{escape_line(links[0].url)}\n\n{_describe_once(1)}")
    if error is not None:
        raise error


@contextmanager
def _open(file: Path, *, overwrite: bool) -> Generator[BinaryIO, None, None]:
    """Yield the file to write the links to. Raise `CliError` if it exists, unless it may be overwritten."""
    with atomic_file(file, "the links") as opened:
        if not overwrite and file.exists():
            reason = "it may have addresses that are not shown again. Choose another name, or add --overwrite."
            raise CliError(f"{file} exists; {reason}")
        yield opened


def _table(links: Sequence[NewLink], shape: _Shape) -> bytes:
    rows = (
        (each.participant, each.name, each.url, each.id, format_rfc3339(each.expires_at) if each.expires_at else None)
        for each in links
    )
    return csv_table(COLUMNS, rows, with_bom=shape.excel)


def _describe_once(number: int) -> str:
    if number == 1:
        return "Store this address now: it is not shown again."
    return "Store these addresses now: they are not shown again."


def _fields(link: NewLink) -> list[tuple[str, str]]:
    fields = [
        ("Id", link.id),
        ("Kind", link.kind),
        ("Participant", link.participant or ""),
        ("Name", link.name or ""),
        ("Label", link.label or ""),
        ("Participants", describe_limits(link)),
        ("Expires", format_exact_time(link.expires_at)),
    ]
    return [(name, value) for name, value in fields if value]
