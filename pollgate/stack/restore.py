"""What `pollgate restore` does: look at a restored database, open a restoration, and finish it.

It reads the settings of the token authority, and works whether or not the authority runs.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from itertools import islice
from os import environ
from pathlib import Path
from typing import Final

from msgspec import Struct

from pollgate.stack.errors import StackError
from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit_chain import Head
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.journal import (
    JournalRecord,
    MergedJournals,
    Unreadable,
    merge,
    select_farthest,
)
from services.token_authority.domain.reapplication import Reapplied
from services.token_authority.domain.restoration import Choice, Decision, Evidence
from services.token_authority.operations.restore import (
    FinishedRestoration,
    LossesUnknown,
    finish,
    replace_lost_admin_key,
)
from services.token_authority.settings import TokenAuthoritySettings
from services.token_authority.storage import journal, restoration
from services.token_authority.storage.reapplication import has_working_admin
from services.token_authority.storage.schema import SCHEMA
from services.token_authority.tasks.journal_file import list_files, read_lines
from shared.runtime.postgres.database import Database, DatabaseUnavailable, database
from shared.runtime.postgres.migrations import NotMigrated, require_migrated
from shared.runtime.process.environment import SettingsError, read_settings

_POOL_SIZE: Final = 2
_DATABASE_URL: Final = ("TOKEN_AUTHORITY_DATABASE_URL", "TOKEN_AUTHORITY_DATABASE_URL_FILE")
_OR_FOLDER: Final = "; or stop `pollgate up`, and name its folder with --dir"


class ChoiceRequired(Exception):
    """The restoration cannot be finished without a decision of the operator. The message says which."""


class JournalStatus(Struct, frozen=True):
    """What the journals have: their last record, and how many records the audit log lacks."""

    files: list[str]
    records: int
    unreadable_lines: int
    last_seq: int
    last_at: datetime | None
    lacking: int
    change_seq: int


class RestoreStatus(Struct, frozen=True):
    """Whether the database is restored, since when, by which evidence, and what is known of what it lacks.

    `reported` counts the changes that each service has reported.
    """

    is_open: bool
    began_at: datetime | None
    evidence: Evidence | None
    audit_head: int
    journal: JournalStatus
    reported: dict[str, int]


class FinishReport(Struct, frozen=True):
    """What finishing has done, and from the journals before. `has_admin_key`: whether one in the role admin works."""

    choice: Choice
    how: str
    first_seq: int
    revoked_tokens: int
    ended_secrets: dict[str, list[str]]
    reported_changes: int
    reapplied: Reapplied
    has_admin_key: bool


async def show_status(journal_files: Sequence[Path], folder: Path | None = None) -> RestoreStatus:
    """Return what is known. Raise `StackError`."""
    async with _open(folder) as (settings, opened):
        journals = await _read(opened, settings, journal_files)
        found = await restoration.select_open_restoration(opened)
        reported = await restoration.select_reported_changes(opened, found) if found else []
        counts: dict[str, int] = {}
        for change in reported:
            for client_id in change.reported_by:
                counts[client_id] = counts.get(client_id, 0) + 1
        return RestoreStatus(
            found is not None,
            found.began_at if found else None,
            found.evidence if found else None,
            (await journal.select_audit_head(opened)).seq,
            await _describe(opened, settings, journal_files, journals),
            counts,
        )


async def begin(reason: str, by: str, folder: Path | None = None) -> bool:
    """Open a restoration. Return false if one is open. Raise `StackError`."""
    async with _open(folder) as (_, opened):
        return await restoration.begin_restoration(opened, Evidence("operator", f"{by}: {reason}"))


async def finish_restoration(
    journal_files: Sequence[Path], decision: Decision, folder: Path | None = None
) -> FinishReport | None:
    """Finish the restoration, which is opened before if the journals prove it. Return `None` if there is none.

    Raise `ChoiceRequired` or `StackError`.
    """
    async with _open(folder) as (settings, opened):
        journals = await _read(opened, settings, journal_files)
        await _open_if_proven(opened, journals)
        done = await finish(opened, decision, journals=journals, lease_s=settings.revocation_lease)
        has_admin_key = await has_working_admin(opened)
    if isinstance(done, LossesUnknown):
        raise ChoiceRequired(
            f"what the restored database lacks is not known: {'; '.join(done.reasons)}. Give the journal of every "
            "replica, or the newest export of the audit log, with --journal; or decide with --revoke-working-tokens or "
            "--accept-risk"
        )
    return None if done is None else _report(done, decision, has_admin_key)


async def create_admin_key(file: Path, by: str, folder: Path | None = None) -> str | None:
    """Create an admin key in a new file, if none works. Return its id. Raise `StackError`."""
    if await asyncio.to_thread(file.exists):
        raise StackError(f"{file} exists; choose a new file for the admin key")
    async with _open(folder) as (_, opened):
        try:
            return await replace_lost_admin_key(opened, file, Actor("operator", by))
        except Restored:
            raise StackError("the database is restored; run `pollgate restore finish` before") from None
        except OSError as error:
            raise StackError(f"cannot write {file}: {error.strerror}") from None


@asynccontextmanager
async def _open(folder: Path | None) -> AsyncGenerator[tuple[TokenAuthoritySettings, Database], None]:
    """Open the database of the settings in the environment, or of `pollgate up` in a folder."""
    async with _run_embedded(folder) if folder is not None else nullcontext(environ) as variables:
        try:
            settings = read_settings(TokenAuthoritySettings, variables)
            size, cache = _POOL_SIZE, settings.database_statement_cache
            async with database(settings.token_authority_database_url, size=size, statement_cache=cache) as opened:
                await require_migrated(opened, SCHEMA)
                yield settings, opened
        except SettingsError as error:
            has_database = any(name in variables for name in _DATABASE_URL)
            raise StackError(str(error) if has_database else f"{error}{_OR_FOLDER}") from None
        except NotMigrated as error:
            raise StackError(f"{error}: a backup of an earlier release has to be migrated before") from None
        except DatabaseUnavailable as error:
            raise StackError(str(error)) from None


def _files(settings: TokenAuthoritySettings, given: Sequence[Path]) -> list[Path]:
    """Return the journals to read: that of the settings, if it exists, and those that were given."""
    configured = [Path(settings.journal_file)] if settings.journal_file else []
    return [*(file for file in configured if list_files(file)), *given]


async def _read(opened: Database, settings: TokenAuthoritySettings, given: Sequence[Path]) -> MergedJournals:
    """Return the records that the audit log lacks, and of the others those that say how far the journals reach.

    Journals have the records of years, and a container may have little memory.
    """
    kept: list[JournalRecord | Unreadable] = []
    farthest: list[JournalRecord] = []
    left_out = 0
    lines = read_lines(_files(settings, given))
    try:
        while chunk := list(islice(lines, journal.CHUNK)):
            heads = [line.head for line in chunk if isinstance(line, JournalRecord)]
            known = await journal.select_known(opened, heads)
            others = [line for line in chunk if isinstance(line, JournalRecord) and line.head in known]
            kept += [line for line in chunk if isinstance(line, Unreadable) or line.head not in known]
            left_out += len(others)
            farthest = select_farthest([*farthest, *others])
    except OSError as error:
        raise StackError(f"cannot read a journal: {error.strerror}: {error.filename}") from None
    return merge([*farthest, *kept], left_out - len({record.head for record in farthest}))


async def _open_if_proven(opened: Database, journals: MergedJournals) -> None:
    """Open a restoration if the journals have a record that the audit log lacks, as a start of the authority would."""
    lacking = await _find_lacking(opened, journals)
    if lacking:
        last = lacking[-1]
        detail = f"the journals have audit record {last.seq}, which the audit log does not have"
        evidence = Evidence("journal", detail, audit_seq=last.seq, audit_hash=last.hash)
        await restoration.begin_restoration(opened, evidence)


async def _find_lacking(opened: Database, journals: MergedJournals) -> list[Head]:
    heads = [record.head for record in journals.records]
    known = await journal.select_known(opened, heads)
    return [head for head in heads if head not in known]


async def _describe(
    opened: Database, settings: TokenAuthoritySettings, given: Sequence[Path], journals: MergedJournals
) -> JournalStatus:
    files = [part for file in _files(settings, given) for part in list_files(file) or [file]]
    return JournalStatus(
        [str(file) for file in files],
        journals.read,
        journals.unreadable,
        journals.head.seq,
        journals.records[-1].at if journals.records else None,
        len(await _find_lacking(opened, journals)),
        journals.change_seq,
    )


def _report(done: FinishedRestoration, decision: Decision, has_admin_key: bool) -> FinishReport:
    finished = done.finished
    return FinishReport(
        decision.choice,
        decision.how,
        finished.epoch_seq,
        finished.revoked_tokens,
        finished.ended_secrets,
        finished.reported_changes,
        done.reapplied,
        has_admin_key,
    )


@asynccontextmanager
async def _run_embedded(folder: Path) -> AsyncGenerator[dict[str, str], None]:
    """Run the PostgreSQL of `pollgate up` in this folder during the block. Yield the settings of its authority."""
    from pollgate.stack.up import run_postgres_of  # noqa: PLC0415 - it needs the packages of `pollgate[embedded]`

    async with run_postgres_of(folder) as variables:
        yield variables
