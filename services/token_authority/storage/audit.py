"""The audit log in PostgreSQL: an append-only chain, in which each row contains the hash of the one before."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry, AuditSelection, records
from services.token_authority.storage.restoration import IS_RESTORED, require_not_restored
from shared.contract.audit import NO_HASH, AuditRecord, column_values, read_columns
from shared.runtime.postgres.database import Connection, Database, Row, Transaction

_AUDIT_LOCK: Final = 0x61756469  # "audi"

_LOCK: Final = """
    -- lock_audit: lock the log until the transaction ends, so that each row follows the one before
    SELECT pg_advisory_xact_lock($1)
"""
_SELECT_HEAD: Final = f"""
    -- select_audit_head: the last row, the current time, and whether the database was restored
    SELECT coalesce(max(seq), 0) AS seq, clock_timestamp() AS now,
           (SELECT encode(hash, 'hex') FROM token_authority.audit_log ORDER BY seq DESC LIMIT 1) AS hash,
           {IS_RESTORED}
    FROM token_authority.audit_log
"""  # noqa: S608
_SELECT_HEAD_SEQ: Final = """
    -- select_audit_head_seq: the number of the last row
    SELECT coalesce(max(seq), 0) AS seq FROM token_authority.audit_log
"""
_INSERT: Final = """
    -- insert_audit: the next rows
    INSERT INTO token_authority.audit_log (
        seq, at, actor_kind, actor_id, address, request_id, action, subject, before, after, previous, hash
    )
    SELECT seq, at, actor_kind, actor_id, address, request_id, action, subject, before, after,
           decode(previous, 'hex'), decode(hash, 'hex')
    FROM unnest(
        $1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::json[], $10::json[], $11::text[], $12::text[]
    ) AS added (seq, at, actor_kind, actor_id, address, request_id, action, subject, before, after, previous, hash)
"""


_ROWS: Final = """
    SELECT seq, at, actor_kind AS actor, actor_id, address, request_id, action, subject, before, after,
           encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash
    FROM token_authority.audit_log
    WHERE ($3::text IS NULL OR actor_id = $3)
      AND ($4::text IS NULL OR action = $4)
      AND ($5::text IS NULL OR subject = $5)
      AND ($6::timestamptz IS NULL OR at >= $6)
      AND ($7::timestamptz IS NULL OR at < $7)
"""
_SELECT: Final = f"""
    -- select_audit: a page of the rows that meet every condition that is not null, oldest first
    {_ROWS} AND ($1::bigint IS NULL OR seq > $1) ORDER BY seq LIMIT $2
"""
_SELECT_NEWEST: Final = f"""
    -- select_newest_audit: the same, newest first
    {_ROWS} AND ($1::bigint IS NULL OR seq < $1) ORDER BY seq DESC LIMIT $2
"""


_SELECT_TIME_FROM_END: Final = """
    -- select_time_from_end: the time of a row of a subject that is so many rows of these actions from the end
    SELECT at FROM token_authority.audit_log
    WHERE subject = $1 AND action = ANY ($2::text[])
    ORDER BY seq DESC OFFSET $3 - 1 LIMIT 1
"""
_SELECT_LATEST: Final = """
    -- select_latest_action: the latest row of a subject with this action
    SELECT at, actor_kind, actor_id FROM token_authority.audit_log
    WHERE subject = $1 AND action = $2 ORDER BY seq DESC LIMIT 1
"""


class LogReadings:
    """The readings of the audit log to its end that a task makes, counted from 1. Set `wanted` to have one begin."""

    def __init__(self) -> None:
        self.begun = 0
        self.wanted = asyncio.Event()


class RequiredReading:
    """The reading of the audit log that has to end before a request is answered; `None` if it has changed nothing."""

    def __init__(self, readings: LogReadings) -> None:
        self._readings = readings
        self.number: int | None = None

    def note_end_of_transaction(self) -> None:
        """Require the next reading to begin, which sees what has just been committed."""
        self.number = self._readings.begun + 1
        self._readings.wanted.set()


REQUIRED_READING: Final[ContextVar[RequiredReading | None]] = ContextVar("required_reading", default=None)
"""That of the current request, where the process keeps a journal."""


def note_change() -> None:
    """Let the current request be answered only when the journal has what was committed until now."""
    if (reading := REQUIRED_READING.get()) is not None:
        reading.note_end_of_transaction()


class AuditedTransaction:
    """A transaction that only commits with a record of what it changed, or after `declare_unchanged`."""

    def __init__(self, transaction: Transaction, *, during_restoration: bool) -> None:
        self._transaction = transaction
        self._during_restoration = during_restoration
        self.is_accounted_for = False

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        """Return the rows of one statement."""
        return await self._transaction.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        """Return the first row of one statement."""
        return await self._transaction.fetchrow(query, *arguments)

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        """Run one statement and return its command tag."""
        return await self._transaction.execute(query, *arguments, limit_s=limit_s)

    async def limit_statements(self, limit_s: float) -> None:
        """Replace the time limit of each later statement, and of its wait for a lock."""
        await self._transaction.limit_statements(limit_s)

    async def lock_audit_log(self) -> None:
        """Lock the audit log until the transaction ends, before its first record."""
        await self._transaction.execute(_LOCK, _AUDIT_LOCK)

    async def record(self, *entries: AuditEntry) -> None:
        """Append an entry for each change to the audit log, which is locked until the transaction ends.

        Record before `changes.lock_log`, so that transactions take both locks in one order. Raise `Restored`.
        """
        self.is_accounted_for = True
        if not entries:
            return
        await self.lock_audit_log()
        (head,) = await self._transaction.fetch(_SELECT_HEAD)
        if not self._during_restoration:
            require_not_restored(head)
        added = list(records(entries, (head["seq"], head["hash"] or NO_HASH), head["now"]))
        await self._transaction.execute(_INSERT, *map(list, zip(*map(column_values, added), strict=True)))

    def declare_unchanged(self) -> None:
        """Let the transaction commit without a record, because it changes nothing that the audit log reports."""
        self.is_accounted_for = True


@asynccontextmanager
async def audited_transaction(
    database: Database, limit_s: float | None = None, *, during_restoration: bool = False
) -> AsyncGenerator[AuditedTransaction, None]:
    """Run the block in a transaction. Roll back and raise `RuntimeError` if the block records nothing.

    Every operation and task that changes what an administrator can see does so in here. While the database is restored,
    a record raises `Restored`, except `during_restoration`: at the start of a process, and to finish.
    """
    async with database.contended_transaction(limit_s) as transaction:
        audited = AuditedTransaction(transaction, during_restoration=during_restoration)
        yield audited
        if not audited.is_accounted_for:
            raise RuntimeError("this transaction has neither an audit record nor a declaration that nothing changed")
    note_change()


async def select_head_seq(connection: Connection) -> int:
    """Return the number of the last record, 0 if there is none."""
    (row,) = await connection.fetch(_SELECT_HEAD_SEQ)
    return int(row["seq"])


async def select_audit(
    connection: Connection, selection: AuditSelection, after: int | None, limit: int, *, newest_first: bool = False
) -> list[AuditRecord]:
    """Return up to `limit` records in order, after a `seq`."""
    query = _SELECT_NEWEST if newest_first else _SELECT
    return [read_columns(row) for row in await connection.fetch(query, after, limit, *selection)]


async def select_audit_chain(connection: Connection, after: int | None, limit: int) -> Iterator[AuditRecord]:
    """Return up to `limit` records of the whole log in order, after a `seq`, which are decoded as they are consumed."""
    return map(read_columns, await connection.fetch(_SELECT, after, limit, *AuditSelection()))


async def select_time_from_end(
    connection: Connection, subject: str, actions: Sequence[str], place: int
) -> datetime | None:
    """Return when an action of these was recorded for the subject, the latest if `place` is 1; `None` if never."""
    row = await connection.fetchrow(_SELECT_TIME_FROM_END, subject, actions, place)
    return row["at"] if row else None


async def select_latest_action(connection: Connection, subject: str, action: str) -> tuple[datetime, Actor] | None:
    """Return when an action was last recorded for the subject, and its actor by kind and id; `None` if never."""
    row = await connection.fetchrow(_SELECT_LATEST, subject, action)
    return (row["at"], Actor(row["actor_kind"], row["actor_id"])) if row else None
