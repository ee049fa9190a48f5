"""`pollgate audit`: list, export and verify the audit log."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

from cyclopts import Parameter

from pollgate.cli.atomic_file import atomic_file
from pollgate.cli.audit_verification import AuditVerification, Head, read_head, require_intact
from pollgate.cli.authority_session import authority_group, collect_from_authority, run_with_authority
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.options import Json
from pollgate.cli.output import describe_value, pluralize, print_json, print_table
from pollgate.cli.times import Past, PastDay, format_exact_time
from pollgate.client import AuditHead, AuthorityClient
from shared.contract.audit import AuditRecord

_ACTOR_KIND: Final = re.compile("^(?:admin_key|person|service|holder):")
"""The kind before the id of an actor, as lists print it. The id of a person may contain colons itself."""


@dataclass(frozen=True)
class Conditions:
    """The conditions that records must meet; `None` if one is not given."""

    actor: Annotated[
        str | None, Parameter(metavar="ID", help="Id of the admin key, person, service or token that acted.")
    ] = None
    action: Annotated[str | None, Parameter(help="Action, such as token.revoke.")] = None
    subject: Annotated[
        str | None, Parameter(metavar="KIND:ID", help="Subject of the action, such as token:tok_3JDxtsz4ic3g56zQ.")
    ] = None
    since: Annotated[
        Past | None,
        Parameter(
            help="At this time or later: 2027-01-31 (its first moment), 2027-01-31T12:00 (UTC without a zone), or how "
            "long ago, such as 90d."
        ),
    ] = None
    until: Annotated[PastDay | None, Parameter(help="Before this time, or up to the last moment of this day.")] = None

    def to_arguments(self) -> dict[str, Any]:
        """Return the conditions as arguments of the client. Raise `CliError`."""
        if self.subject is not None and ":" not in self.subject:
            raise UsageError("--subject takes KIND:ID, such as token:tok_3JDxtsz4ic3g56zQ or service:reports")
        return {
            "actor_id": self.actor and _ACTOR_KIND.sub("", self.actor, count=1),
            "action": self.action,
            "subject": self.subject,
            "since": self.since,
            "until": self.until,
        }


EVERYTHING: Final = Conditions()

app = authority_group("audit", "List, export and verify the audit log: who did what, and when.")


@app.command(name="list", help_epilogue="Example:\n\n  pollgate audit list --action token.revoke --since 7d")
def list_(
    *,
    conditions: Annotated[Conditions, Parameter(name="*")] = EVERYTHING,
    oldest_first: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    as_json: Json = False,
) -> None:
    """List the records that meet all conditions, the newest first.

    Parameters
    ----------
    oldest_first
        List the oldest first.
    limit
        Maximum number of records; all by default.
    """
    if limit is not None and limit < 1:
        raise UsageError("--limit must be at least 1")
    records = collect_from_authority(
        lambda authority: authority.list_audit_records(
            limit, newest_first=not oldest_first, **conditions.to_arguments()
        )
    )
    if as_json:
        print_json(records)
    elif records:
        print_records(records)
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
    """Write the records that meet all conditions as lines of JSON, the oldest first.

    Only a complete export, without conditions, can be verified.

    Parameters
    ----------
    output
        File to write, which appears when it is complete; standard output by default.
    """

    async def write(authority: AuthorityClient, file: BinaryIO) -> int:
        number = 0
        async for line in authority.export_audit_log(**conditions.to_arguments()):
            file.write(line + b"\n")
            number += 1
        return number

    if output is None:
        run_with_authority(lambda authority: write(authority, sys.stdout.buffer))
        sys.stdout.buffer.flush()
        return
    with atomic_file(output, "the audit log") as file:
        number = run_with_authority(lambda authority: write(authority, file))
    print(f"Wrote {pluralize(number, 'record')} to {output}.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate audit verify\n"
    "  pollgate audit verify --on-server\n"
    "  pollgate audit verify --file audit.jsonl --head 12:5f0c…\n\n"
    "Exit status: 0 if the log is intact, 1 if it is not, or cannot be read."
)
def verify(
    *,
    file: Annotated[Path | None, Parameter(metavar="FILE", allow_leading_hyphen=True)] = None,
    head: Annotated[str | None, Parameter(metavar="SEQ:HASH")] = None,
    on_server: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Verify that no record of the audit log was changed, inserted or removed, and print its head, SEQ:HASH of the
    last record.

    Keep the head where users who can write to the database cannot change it.
    With --head, truncation and a rewritten chain are detected as well.

    Parameters
    ----------
    file
        A complete export to verify instead of the authority's log; - for standard input.
    head
        Head that was printed earlier, to verify that its record is unchanged.
    on_server
        Let the token authority verify its log, which is not downloaded then. This trusts the authority.
    """
    earlier = read_head(head) if head else None
    if on_server:
        if file is not None:
            raise UsageError("give either --file or --on-server")
        _print_head(_verify_on_server(earlier), as_json=as_json)
        return
    verification = AuditVerification(earlier)
    if file is None:
        run_with_authority(lambda authority: _verify_log(authority, verification))
    else:
        _verify_file(file, verification)
    verification.finish()
    _print_head(verification.head, as_json=as_json)


def _verify_on_server(earlier: Head | None) -> Head:
    head = None if earlier is None else AuditHead(earlier.seq, earlier.hash)
    options = {"/seq": "--head", "/hash": "--head"}
    return require_intact(run_with_authority(lambda authority: authority.verify_audit_log(head), options), earlier)


async def _verify_log(authority: AuthorityClient, verification: AuditVerification) -> None:
    async for line in authority.export_audit_log():
        verification.verify(line)


def _verify_file(file: Path, verification: AuditVerification) -> None:
    try:
        if str(file) == "-":
            _verify_lines(sys.stdin.buffer, verification)
        else:
            with file.open("rb") as opened:
                _verify_lines(opened, verification)
    except OSError as error:
        raise CliError(f"cannot read the audit log: {error.strerror}: {file}") from None


def _verify_lines(lines: BinaryIO, verification: AuditVerification) -> None:
    for line in lines:
        verification.verify(line)


def _print_head(head: Head, *, as_json: bool) -> None:
    if as_json:
        print_json({"records": head.seq, "head": str(head)})
        return
    print(f"The audit log is intact: {pluralize(head.seq, 'record')}. Head: {head}")


def print_records(records: Sequence[AuditRecord]) -> None:
    """Print a table of audit records."""
    columns = ("Seq", "Time (UTC)", "Actor", "From", "Action", "Subject", "Change")
    print_table(columns, (_row(record) for record in records), foldable=("Actor", "From", "Subject", "Change"))


def _row(record: AuditRecord) -> tuple[str, ...]:
    actor = f"{record.actor}:{record.actor_id}" if record.actor_id else record.actor
    at = format_exact_time(record.at).removesuffix(" UTC")
    return (str(record.seq), at, actor, record.address or "", record.action, record.subject, _change(record))


def _change(record: AuditRecord) -> str:
    names = dict.fromkeys((*record.before, *record.after))
    return "\n".join(f"{name}: {_value(record.before, name)} → {_value(record.after, name)}" for name in names)


def _value(side: dict[str, Any], name: str) -> str:
    return describe_value(side[name]) if name in side else "-"
