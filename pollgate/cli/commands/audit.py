"""`pollgate audit`: who did what, and whether the log of it is whole."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import msgspec
from cyclopts import Parameter

from pollgate.cli.atomic_file import written_whole
from pollgate.cli.audit_check import Head, LogCheck, read_head
from pollgate.cli.errors import CliError
from pollgate.cli.output import counted, print_json, print_table
from pollgate.cli.session import Json, call, gather, management
from pollgate.cli.times import Past, told_exactly
from pollgate.client import AuthorityClient
from shared.contract.audit import AuditRecord


@dataclass(frozen=True)
class Conditions:
    """Which records are meant: those that meet all that is given."""

    actor: Annotated[str | None, Parameter(metavar="ID", help="What this one did: an admin key, or a token.")] = None
    action: Annotated[str | None, Parameter(help="This action, as token.revoke.")] = None
    subject: Annotated[
        str | None, Parameter(metavar="KIND:ID", help="What was done to this, as token:tok_3JDxtsz4ic3g56zQ.")
    ] = None
    since: Annotated[
        Past | None, Parameter(help="From this time on, as 2027-01-31T12:00 (local time), or how long ago, as 90d.")
    ] = None
    until: Annotated[Past | None, Parameter(help="Before this time.")] = None

    def to_query(self) -> dict[str, Any]:
        """As the API has them. Raises `CliError`."""
        if self.subject is not None and ":" not in self.subject:
            raise CliError("--subject is a kind and an id, as token:tok_3JDxtsz4ic3g56zQ or service:reports")
        return {
            "actor_id": self.actor and self.actor.rpartition(":")[2],
            "action": self.action,
            "subject": self.subject,
            "since": self.since,
            "until": self.until,
        }


EVERYTHING: Final = Conditions()

app = management("audit", "Read, export and verify the audit log: who did what.")


@app.command(name="list", help_epilogue="Example:\n\n  pollgate audit list --action token.revoke --since 7d")
def list_(
    *,
    conditions: Annotated[Conditions, Parameter(name="*")] = EVERYTHING,
    oldest_first: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    as_json: Json = False,
) -> None:
    """List the records that meet every condition given, the newest first.

    Parameters
    ----------
    oldest_first
        The other way round.
    limit
        How many at most; all where this is left out.
    """
    if limit is not None and limit < 1:
        raise CliError("--limit is at least 1")
    records = gather(
        lambda authority: authority.list_audit_records(limit, newest_first=not oldest_first, **conditions.to_query())
    )
    if as_json:
        print_json(records)
    elif records:
        _print_table(records)
    else:
        print("No record meets these conditions.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate audit export --output audit.jsonl\n"
    "  pollgate audit export --since 1d | jq .action"
)
def export(
    *,
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    conditions: Annotated[Conditions, Parameter(name="*")] = EVERYTHING,
) -> None:
    """Write the records that meet every condition given as JSON, a line each, the oldest first.

    Only a whole export, without conditions, can be verified.

    Parameters
    ----------
    output
        Where they go, once all are there; to standard output where this is left out.
    """

    async def write(authority: AuthorityClient, file: BinaryIO) -> int:
        number = 0
        async for line in authority.export_audit_log(**conditions.to_query()):
            file.write(line + b"\n")
            number += 1
        return number

    if output is None:
        call(lambda authority: write(authority, sys.stdout.buffer))
        sys.stdout.buffer.flush()
        return
    with written_whole(output, "the audit log") as file:
        number = call(lambda authority: write(authority, file))
    print(f"Wrote {counted(number, 'record')} to {output}.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate audit verify\n"
    "  pollgate audit verify --file audit.jsonl --head 12:5f0c…\n\n"
    "Exit status: 0 where the log is whole, 1 where it is not or cannot be read."
)
def verify(
    *,
    file: Annotated[Path | None, Parameter(metavar="FILE", allow_leading_hyphen=True)] = None,
    head: Annotated[str | None, Parameter(metavar="SEQ:HASH")] = None,
    as_json: Json = False,
) -> None:
    """Check that no record of the audit log was changed, added or taken out, and say its head: SEQ:HASH of its last
    record, to be kept where whoever can write to the database cannot.

    By itself the chain shows what was changed amid it. With a head that was
    kept it also shows where records were cut off from the end, or the chain
    was made anew.

    Parameters
    ----------
    file
        A whole export in the place of the authority's own log; - for standard input.
    head
        Of an earlier time, to check that this record is still there unchanged.
    """
    check = LogCheck(read_head(head) if head else None)
    if file is None:
        call(lambda authority: _check_log(authority, check))
    else:
        _check_file(file, check)
    check.finish()
    _tell(check.head, as_json=as_json)


async def _check_log(authority: AuthorityClient, check: LogCheck) -> None:
    async for line in authority.export_audit_log():
        check.check(line)


def _check_file(file: Path, check: LogCheck) -> None:
    try:
        if str(file) == "-":
            _check_lines(sys.stdin.buffer, check)
        else:
            with file.open("rb") as opened:
                _check_lines(opened, check)
    except OSError as error:
        raise CliError(f"cannot read the audit log: {error.strerror}: {file}") from None


def _check_lines(lines: BinaryIO, check: LogCheck) -> None:
    for line in lines:
        check.check(line)


def _tell(head: Head, *, as_json: bool) -> None:
    if as_json:
        print_json({"records": head.seq, "head": str(head)})
        return
    print(f"The log is whole: {counted(head.seq, 'record')}. Head: {head}")


def _print_table(records: Sequence[AuditRecord]) -> None:
    columns = ("Seq", "Time (UTC)", "Actor", "From", "Action", "Subject", "Change")
    print_table(columns, (_row(record) for record in records), broken=("Actor", "From", "Subject", "Change"))


def _row(record: AuditRecord) -> tuple[str, ...]:
    actor = f"{record.actor}:{record.actor_id}" if record.actor_id else record.actor
    at = told_exactly(record.at).removesuffix(" UTC")
    return (str(record.seq), at, actor, record.address or "", record.action, record.subject, _change(record))


def _change(record: AuditRecord) -> str:
    names = dict.fromkeys((*record.before, *record.after))
    return "\n".join(f"{name}: {_value(record.before, name)} → {_value(record.after, name)}" for name in names)


def _value(side: dict[str, Any], name: str) -> str:
    return msgspec.json.encode(side[name]).decode() if name in side else "-"
