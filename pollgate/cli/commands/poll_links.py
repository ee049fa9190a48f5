"""`pollgate poll links`: list and revoke voting links."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pollgate.cli.csv_output import Excel, print_csv
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.link_limits import describe_limits
from pollgate.cli.options import Json, Repeatable
from pollgate.cli.output import escape_line, pluralize, print_json, print_table
from pollgate.cli.polls_session import collect_from_polls, polls_group, run_with_polls
from pollgate.cli.times import format_time
from pollgate.client import Link, LinkKind, LinkStatus, NotFound, PollsClient
from shared.runtime.http.csv_table import csv_table
from shared.runtime.text.times import format_rfc3339

MAX_COUNTED: Final = 1_000
"""How many links are counted before they are revoked."""
COLUMNS: Final = (
    *("id", "kind", "status", "hint", "participant", "name", "label", "max participants", "max per address"),
    *("participants", "expires at", "created at", "created by", "revoked at"),
)
_OPTIONS: Final = {"participant": "--participant"}

app = polls_group("poll", "List and revoke voting links.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll links ID --kind shared --status active\n"
    "  pollgate poll links ID --revoke 5f1c1c52-6f0e-4c8b-9f5e-0d4f4f0b3a11\n"
    "  pollgate poll links ID --participant ada --revoke-all"
)
def links(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    kind: LinkKind | None = None,
    status: LinkStatus | None = None,
    participant: str | None = None,
    created_by: Annotated[str | None, Parameter(metavar="TOKEN_ID")] = None,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    revoke: Annotated[Repeatable | None, Parameter(metavar="LINK_ID")] = None,
    revoke_all: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    excel: Excel = False,
    as_json: Json = False,
) -> None:
    """List the voting links of a poll that meet all conditions, the oldest first, or revoke them permanently.

    Addresses are shown only when links are created. Times are in UTC. Ballots
    that were cast by revoked links stay. The token must have the action vote.

    Parameters
    ----------
    kind
        Links of this kind.
    status
        Links with this status.
    participant
        Personal links of this participant.
    created_by
        Links that the token with this id has created.
    limit
        Maximum number of links; all by default.
    revoke
        Revoke the link with this id instead. Repeatable.
    revoke_all
        Revoke all active links that meet the conditions instead.
    yes
        Do not ask for confirmation of --revoke-all; required without a terminal.
    as_csv
        Print CSV for spreadsheets.
    """
    conditions: dict[str, Any] = {"kind": kind, "participant": participant, "created_by": created_by}
    if not (revoke or revoke_all):
        _list(poll_id, {**conditions, "status": status}, limit, as_csv=as_csv or excel, excel=excel, as_json=as_json)
        return
    of_lists = {"--status": status, "--limit": limit, "--csv": as_csv, "--excel": excel, "--json": as_json}
    misplaced = next((option for option, value in of_lists.items() if value not in (None, False)), None)
    if misplaced is not None:
        raise UsageError(f"{misplaced} is for the list, not for a revocation")
    if not revoke:
        _revoke_all(poll_id, conditions, yes=yes)
    elif revoke_all:
        raise UsageError("give either --revoke or --revoke-all")
    else:
        _revoke(poll_id, revoke, conditions)


def _list(
    poll_id: str, conditions: Mapping[str, Any], limit: int | None, *, as_csv: bool, excel: bool, as_json: bool
) -> None:
    if as_csv and as_json:
        raise UsageError("give either --csv or --json")
    if limit is not None and limit < 1:
        raise UsageError("--limit must be at least 1")
    found = collect_from_polls(lambda polls: polls.list_links(poll_id, limit, **conditions), _OPTIONS)
    if as_json:
        print_json(found)
    elif as_csv:
        print_csv(csv_table(COLUMNS, map(_cells, found), with_bom=excel))
    elif found:
        columns = ("Id", "Hint", "Kind", "Status", "For", "Participants", "Created (UTC)", "Expires")
        print_table(columns, map(_row, found), foldable=("For", "Participants"))
    elif _is_narrowed(conditions):
        print("No voting link meets these conditions.")
    else:
        print("The poll has no voting links; `pollgate poll link` creates them.")


def _is_narrowed(conditions: Mapping[str, Any]) -> bool:
    return any(value is not None for value in conditions.values())


def _revoke(poll_id: str, link_ids: Sequence[str], conditions: Mapping[str, Any]) -> None:
    """Revoke links one after the other, and print each. Raise `CliError` for unknown ids after the others are."""
    if _is_narrowed(conditions):
        raise UsageError("--revoke takes ids, so it cannot be combined with conditions; --revoke-all takes them")

    async def revoke(polls: PollsClient) -> list[str]:
        unknown = []
        for link_id in dict.fromkeys(link_ids):
            try:
                await polls.revoke_link(poll_id, link_id)
            except NotFound as error:
                if error.type != "unknown-link":
                    raise
                unknown.append(link_id)
            else:
                print(escape_line(f"Revoked {link_id}."), flush=True)
        return unknown

    unknown = run_with_polls(revoke)
    if unknown:
        raise CliError(f"the poll has no voting link with the id {', '.join(unknown)}")


def _revoke_all(poll_id: str, conditions: Mapping[str, Any], *, yes: bool) -> None:
    if not yes:
        _confirm(poll_id, conditions)
    number = run_with_polls(lambda polls: polls.revoke_links(poll_id, **conditions), _OPTIONS)
    if number:
        print(f"Revoked {pluralize(number, 'link')}. Ballots that were cast by {'it' if number == 1 else 'them'} stay.")
    else:
        print(f"Nothing to revoke: no active link{' meets these conditions' if _is_narrowed(conditions) else ''}.")


def _confirm(poll_id: str, conditions: Mapping[str, Any]) -> None:
    """Ask for confirmation if there is an active link. Raise `CliError` without it, or without a terminal."""
    if not sys.stdin.isatty():
        raise UsageError("--revoke-all requires --yes without a terminal")
    active = collect_from_polls(
        lambda polls: polls.list_links(poll_id, MAX_COUNTED + 1, status="active", **conditions), _OPTIONS
    )
    if not active:
        return
    number = f"more than {MAX_COUNTED:,} links" if len(active) > MAX_COUNTED else pluralize(len(active), "active link")
    question = f"This revokes {number} permanently; ballots that were cast stay. Continue? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError("nothing was revoked")


def _row(link: Link) -> tuple[str, ...]:
    times = (format_time(link.created_at), format_time(link.expires_at))
    return (link.id, link.hint, link.kind, link.status, _describe_recipient(link), describe_limits(link), *times)


def _describe_recipient(link: Link) -> str:
    """Return the label of a shared link, or the participant of a personal one, which only polls with names store."""
    if link.kind == "shared":
        return link.label or ""
    if link.participant is None:
        return "not stored"
    return f"{link.participant} ({link.name})" if link.name else link.participant


def _cells(link: Link) -> tuple[str | int | None, ...]:
    return (
        *(link.id, link.kind, link.status, link.hint, link.participant, link.name, link.label),
        *(link.max_participants, link.max_per_address, link.participants),
        *(_time(link.expires_at), _time(link.created_at), link.created_by, _time(link.revoked_at)),
    )


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_rfc3339(at)
