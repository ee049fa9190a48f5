"""`pollgate restore`: after a restore of the token authority's database, keep tokens and keys ended that had ended.

It works with the database, not over HTTP, and reads the settings of the token authority. Its imports stand in the
functions: the command line is also installed without the packages of the services.
"""

import asyncio
import getpass
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.extras import require_extras
from pollgate.cli.options import Json, command_group
from pollgate.cli.output import escape_line, pluralize, print_fields, print_json, print_table, warn
from pollgate.cli.times import format_exact_time

if TYPE_CHECKING:
    from pollgate.stack.restore import FinishReport, RestoreStatus
    from services.token_authority.domain.restoration import Choice

RESTORED_STATUS: Final = 3
CHOICE_STATUS: Final = 4
CONFIRMATION: Final = "revoked tokens may work again"

app = command_group(
    "restore",
    "Look at a restored database of the token authority, and bring it back into service.\n\n"
    "Works with the database, with the settings of the token authority. With Compose, put "
    "`docker compose exec token-authority` before the command; with `pollgate up`, stop it and add --dir .pollgate.",
)

Journals = Annotated[
    list[str] | None,
    Parameter(
        name="--journal",
        negative="",
        help="A journal (JOURNAL_FILE) of another replica, or a file that `pollgate audit export` has written. "
        "Repeatable. The journal of these settings is read anyway, and with each one the older files beside it.",
    ),
]
By = Annotated[str | None, Parameter(name="--by", help="Who does this, for the audit log. By default the user.")]

Folder = Annotated[
    Path | None,
    Parameter(name="--dir", help="The folder of a stopped `pollgate up`, instead of the settings in the environment."),
]


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate restore status\n"
    "  pollgate restore status --journal replica-2/journal.jsonl --json"
)
def status(*, journal: Journals = None, folder: Folder = None, as_json: Json = False) -> None:
    """Show whether the database was restored, how that is known, and what it lacks.

    The exit status is 3 if it was restored and that is not finished, else 0.
    """
    with require_extras("server"):
        from pollgate.stack.restore import show_status  # noqa: PLC0415

    found = asyncio.run(show_status(_paths(journal), _resolve(folder)))
    print_json(found) if as_json else _print_status(found, folder)
    if found.is_open or found.journal.lacking:
        sys.exit(RESTORED_STATUS)


@app.command(help_epilogue="Example:\n\n  pollgate restore begin --reason 'restored the dump of 3 June'")
def begin(*, reason: str, by: By = None, folder: Folder = None) -> None:
    """Let the token authority accept no token and no credential until `pollgate restore finish`.

    Run this after every restore, before the services start: they notice a restore themselves by a journal, or by the
    guards of services that were running, but not if there is neither.

    Parameters
    ----------
    reason
        What was restored, for the audit log and the other administrators.
    """
    with require_extras("server"):
        from pollgate.stack.restore import begin as begin_restoration  # noqa: PLC0415

    if not reason.strip():
        raise UsageError("--reason must say what was restored")
    if asyncio.run(begin_restoration(reason, by or _user(), _resolve(folder))):
        print(f"No token and no credential is accepted from now on. {_next(folder)}")
    else:
        print(f"This is in effect already; see `pollgate restore status`. {_next(folder)}")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate restore finish\n"
    "  pollgate restore finish --journal replica-2/journal.jsonl\n"
    "  pollgate restore finish --revoke-working-tokens"
)
def finish(
    *,
    journal: Journals = None,
    revoke_working_tokens: Annotated[bool, Parameter(negative="")] = False,
    accept_risk: str | None = None,
    by: By = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """End in the database what had ended after the backup, and accept tokens again.

    Journals say what that was. Where they do not say everything, choose --revoke-working-tokens or --accept-risk.
    Takes as long as a lease, 5 seconds by default, and nothing is changed if it fails. It only ends and narrows.

    The exit status is 4 if it needs one of these choices.

    Parameters
    ----------
    revoke_working_tokens
        Revoke every token that works, and issue new ones: nothing says which ones were revoked after the backup.
    accept_risk
        Name of the person who accepts that tokens and keys that had ended may work again. The name is recorded, and a
        sentence has to be typed.
    """
    with require_extras("server"):
        from pollgate.stack.restore import ChoiceRequired, finish_restoration  # noqa: PLC0415
        from services.token_authority.domain.actor import Actor  # noqa: PLC0415
        from services.token_authority.domain.restoration import Decision  # noqa: PLC0415

    choice, how = _choose(revoke_working_tokens, accept_risk)
    decision = Decision(choice, Actor("operator", by or _user()), how)
    print("This takes as long as a lease, until no service uses what it knew before…", file=sys.stderr)
    try:
        report = asyncio.run(finish_restoration(_paths(journal), decision, _resolve(folder)))
    except ChoiceRequired as error:
        print(f"pollgate: {escape_line(str(error))}", file=sys.stderr)
        sys.exit(CHOICE_STATUS)
    if report is None:
        print("null" if as_json else "Nothing to finish: the database counts as not restored.")
        return
    print_json(report) if as_json else _print_report(report)


@app.command(
    name="admin-key",
    help_epilogue="Example:\n\n  pollgate restore admin-key ./admin-2.key",
)
def admin_key(file: Path, /, *, by: By = None, folder: Folder = None) -> None:
    """Create an admin key in a new file, if none in the role admin works.

    After a restore, the keys of the backup may have been rotated or revoked since, and newer ones are lost.

    Parameters
    ----------
    file
        A new file, in a folder that only this user can write to.
    """
    with require_extras("server"):
        from pollgate.stack.restore import create_admin_key  # noqa: PLC0415

    key_id = asyncio.run(create_admin_key(file, by or _user(), _resolve(folder)))
    if key_id is None:
        raise CliError("an admin key in the role admin works; create further ones with `pollgate admin create`")
    print(f"The admin key {key_id} is in {file}.")


def _choose(revoke_working_tokens: bool, accept_risk: str | None) -> "tuple[Choice, str]":
    if revoke_working_tokens and accept_risk is not None:
        raise UsageError("choose --revoke-working-tokens or --accept-risk, not both")
    if revoke_working_tokens:
        return "revoke-working-tokens", "every token that worked was revoked"
    if accept_risk is None:
        return "journal", "the journals have everything that is known to have happened"
    if not accept_risk.strip():
        raise UsageError("--accept-risk requires the name of the person who accepts the risk")
    _confirm()
    return "accept-risk", f"{accept_risk.strip()} accepts that {CONFIRMATION}"


def _confirm() -> None:
    """Raise `CliError` unless the sentence is typed, or piped."""
    print(f"Type this sentence to go on: {CONFIRMATION}", file=sys.stderr)
    if sys.stdin.readline().strip() != CONFIRMATION:
        raise CliError("the sentence was not typed; nothing was changed")


def _resolve(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    with require_extras("server,embedded"):
        import pollgate.stack.up  # noqa: F401, PLC0415
    return folder.resolve()


def _paths(journals: list[str] | None) -> list[Path]:
    return [Path(each) for each in journals or ()]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        return "unnamed user"


def _next(folder: Path | None) -> str:
    return "Next: pollgate restore finish" + (f" --dir {shlex.quote(str(folder))}" if folder is not None else "")


def _print_status(found: "RestoreStatus", folder: Path | None) -> None:
    journals = found.journal
    evidence = found.evidence
    state = "not restored"
    if found.is_open:
        state = "restored: no token and no credential is accepted"
    elif journals.lacking:
        state = "restored, as the journals show; it will be noticed when the authority starts"
    print_fields(
        [
            ("Database", state),
            *([("Since", format_exact_time(found.began_at))] if found.began_at else []),
            *([("Known by", f"{evidence.source}: {evidence.detail}")] if evidence else []),
            ("Audit log", f"ends with record {found.audit_head}"),
            ("Journals", ", ".join(journals.files) or "none"),
            *(_journal_fields(found) if journals.files else []),
            *(
                ("Reported", f"{pluralize(changes, 'change')} that the database lacks, by the service {client_id}")
                for client_id, changes in found.reported.items()
            ),
        ]
    )
    if found.is_open or journals.lacking:
        print(f"\n{_next(folder)}")


def _journal_fields(found: "RestoreStatus") -> Iterator[tuple[str, str]]:
    journals = found.journal
    if journals.records:
        last = f"record {journals.last_seq} of {format_exact_time(journals.last_at)}"
        yield "", f"{pluralize(journals.records, 'record')}, the last one {last}"
        yield "", f"missing in the database: {journals.lacking:,}"
    if journals.unreadable_lines:
        yield "", f"{pluralize(journals.unreadable_lines, 'line')} cannot be read"


def _print_report(report: "FinishReport") -> None:
    reapplied = report.reapplied
    print(f"Finished: {report.how}. Tokens are accepted again.")
    if reapplied.records:
        print(f"Re-applied from journals: {pluralize(reapplied.records, 'record')} after record {reapplied.base_seq}.")
    done = [(what, str(len(ids)), _ids(ids)) for what, ids in reapplied.applied.items()]
    if report.revoked_tokens:
        done.append(("working tokens revoked", str(report.revoked_tokens), ""))
    if report.ended_secrets:
        secrets = sum(map(len, report.ended_secrets.values()))
        done.append(("secrets ended that guards reported", str(secrets), _ids([*report.ended_secrets])))
    if done:
        print()
        print_table(("Done", "Number", "Ids"), done, foldable=("Ids",))
    left = [
        *([("created after the backup, and lost", reapplied.lost)] if reapplied.lost else []),
        *([("need a new secret: rotate them", reapplied.lost_secrets)] if reapplied.lost_secrets else []),
        *((f"not done again: {action}", subjects) for action, subjects in reapplied.not_applied.items()),
    ]
    if left:
        print()
        rows = [(what, str(len(subjects)), _ids(subjects)) for what, subjects in left]
        print_table(("Left to you", "Number", "Ids"), rows, foldable=("Ids",))
    if not report.has_admin_key:
        warn("no admin key in the role admin works; run `pollgate restore admin-key FILE` to create one")
    if reapplied.unreadable_lines:
        warn(f"{pluralize(reapplied.unreadable_lines, 'line')} of the journals cannot be read")


def _ids(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:_SHOWN])
    return shown if len(ids) <= _SHOWN else f"{shown}, … (--json lists all)"


_SHOWN: Final = 10
