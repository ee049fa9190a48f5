"""`pollgate doctor`: look at a running stack, and say what is well and what is not."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pollgate.cli.audit_verification import read_head
from pollgate.cli.errors import CliError
from pollgate.cli.extras import require_extras
from pollgate.cli.options import Json
from pollgate.cli.output import pluralize, print_json, print_table

if TYPE_CHECKING:
    from pollgate.doctor.finding import Finding


def doctor(
    *,
    audit_head: Annotated[
        str | None,
        Parameter(metavar="SEQ:HASH", help="Audit head that was noted with the last backup, to check its age."),
    ] = None,
    strict: Annotated[bool, Parameter(negative="", help="End with status 1 for warnings too.")] = False,
    as_json: Json = False,
) -> None:
    """Examine the running stack, and print what is well and what is not.

    Run it with the environment of a service: `docker compose exec token-authority pollgate doctor`. It reads
    TOKEN_AUTHORITY_URL, POLLS_REPLICAS_URL, TOKEN_AUTHORITY_DATABASE_URL, POLLS_DATABASE_URL and REDIS_URL, or files
    named by each with _FILE appended; what is not set is not checked. On the machine of `pollgate up`, it finds them by
    POLLGATE_DIR (.pollgate). It changes nothing.

    It ends with status 1 if there is a problem, for cron, and with 0 otherwise.
    """
    with require_extras("server"):
        from pollgate.doctor.authority_database import AuditHead  # noqa: PLC0415
        from pollgate.doctor.environment import read_environment  # noqa: PLC0415
        from pollgate.doctor.finding import State, worst_state  # noqa: PLC0415
        from pollgate.doctor.stack import examine_stack  # noqa: PLC0415
        from shared.runtime.process.environment import SettingsError  # noqa: PLC0415

    head = AuditHead(*read_head(audit_head, "--audit-head")) if audit_head is not None else None
    folder = Path(os.environ.get("POLLGATE_DIR", ".pollgate"))
    try:
        environ = {**read_environment(folder), **os.environ}
        folders = {"data of `pollgate up`": folder} if folder.exists() else {}
        findings = asyncio.run(examine_stack(environ, folders, head))
    except SettingsError as error:
        raise CliError(str(error)) from None
    worst = worst_state(findings)
    if as_json:
        print_json({"state": worst, "findings": findings})
    else:
        _print_findings(findings)
    if worst is State.PROBLEM or (strict and worst is State.WARNING):
        sys.exit(1)


def _print_findings(findings: "Sequence[Finding]") -> None:
    rows = [
        (each.part, each.check, each.state.value, each.finding + (f"\n→ {each.advice}" if each.advice else ""))
        for each in findings
    ]
    print_table(("Part", "Check", "State", "Finding"), rows, foldable=("Finding",))
    counts = {state: sum(each.state == state for each in findings) for state in ("problem", "warning", "not checked")}
    print(
        f"\n{pluralize(counts['problem'], 'problem')}, {pluralize(counts['warning'], 'warning')}, "
        f"{counts['not checked']} not checked."
    )
