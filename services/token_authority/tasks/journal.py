"""Keep the journal: append what is new in the audit log to a file, and notice a database that lacks what is in it.

Each reading of the log begins with the last record in the file. So the journal of each process is complete by itself,
whatever other processes have changed, and a log without that record is one that went back.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from services.token_authority.domain.audit_chain import Head
from services.token_authority.domain.journal import JournalRecord
from services.token_authority.domain.restoration import Evidence
from services.token_authority.metrics import AuthorityMetrics
from services.token_authority.storage import journal, restoration
from services.token_authority.storage.audit import LogReadings, RequiredReading, audited_transaction
from services.token_authority.tasks.journal_file import JournalFile
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.process.environment import SettingsError
from shared.runtime.process.outage import Outage, Unavailable

READ_EVERY_S: Final = 1.0
"""Between two readings that no request wants, for changes of other processes."""
RETRY_S: Final = 0.2
WRITE_LIMIT_S: Final = 1.0
"""How long the disk may take, before responses no longer wait for it. The changes are in effect then."""


class Journal:
    """Keeps the journal. Create one instance per process, call `start()`, and supervise its `run()`.

    A journal that cannot be written delays no response after the first: the changes are in effect all the same.
    """

    def __init__(
        self, database: Database, file: JournalFile, metrics: AuthorityMetrics, *, path: str, kept: timedelta
    ) -> None:
        self.readings = LogReadings()
        self._database = database
        self._file = file
        self._metrics = metrics
        self._path = path
        self._kept = kept
        self._head: Head | None = None
        self._ended = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._writing_since: float | None = None
        self._outage = Outage(
            "the journal cannot be written: changes are in effect, but would be lost with a restore of the database; "
            "free space on its disk, or correct JOURNAL_FILE",
            "the journal is written again, and complete",
            address=path,
        )

    async def start(self) -> None:
        """Read the end of the journal, compare it with the database, and append what is missing.

        Raise `SettingsError` if the file cannot be read or must not be used, and `DatabaseUnavailable`.
        """
        try:
            await asyncio.to_thread(self._file.prepare)
            self._head = await asyncio.to_thread(self._file.read_head)
        except OSError as error:
            raise SettingsError(f"JOURNAL_FILE: {error.strerror or error}: {self._path}") from None
        try:
            await self._read_log()
        except OSError as error:
            self._begin_outage(error)

    async def run(self) -> None:
        """Append what is new, when a request wants it and at an interval, until cancelled."""
        while True:
            self.readings.wanted.clear()
            self.readings.begun += 1
            number = self.readings.begun
            try:
                await self._read_log()
            except DatabaseUnavailable:  # the database has logged it
                await asyncio.sleep(RETRY_S)
            except OSError as error:
                self._begin_outage(error)
                await asyncio.sleep(RETRY_S)
            else:
                self._end_reading(number)
                await self._pause()

    async def wait_for(self, required: RequiredReading) -> None:
        """Wait until the reading has ended that a request requires.

        A disk that does not respond delays one response by `WRITE_LIMIT_S`, and no further ones. While the database
        does not respond, wait for the time limit of the request: it may be repeated, and is then in the journal.
        """
        number = required.number
        if number is None or number <= self._ended or self._outage.is_ongoing:
            return
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((number, ended))
        while not ended.done():
            await asyncio.wait({ended}, timeout=WRITE_LIMIT_S / 4)
            if self._writing_since is not None and self._now() - self._writing_since > WRITE_LIMIT_S:
                self._begin_outage(TimeoutError())

    async def check(self) -> None:
        """Raise `Unavailable` if the journal cannot be written."""
        if self._outage.is_ongoing:
            raise Unavailable("the journal cannot be written; changes are in effect all the same")

    async def _read_log(self) -> None:
        """Append everything after the last record, or open a restoration if the log does not have that record."""
        is_last = False
        while not is_last:
            head = self._head
            first = head.seq if head else await self._select_first()
            page = await journal.select_log_from(self._database, first)
            records, is_last = page
            if head is not None:
                if not records or records[0].head != head:
                    base = await journal.select_base_of_replaced(self._database, head)
                    if base is None:
                        await self._begin_restoration(head)
                        return
                    records, is_last = await journal.select_log_from(self._database, base + 1)
                else:
                    records = records[1:]
            if records:
                self._head = await self._append(records, head)
                is_last = is_last and self._head == records[-1].head

    async def _append(self, records: Sequence[JournalRecord], after: Head | None) -> Head | None:
        self._writing_since = self._now()
        try:
            return await asyncio.to_thread(self._file.append, records, after)
        finally:
            self._writing_since = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _select_first(self) -> int:
        return await journal.select_first_to_journal(self._database, datetime.now(UTC) - self._kept)

    async def _begin_restoration(self, expected: Head) -> None:
        """Open a restoration, which all processes see and `RestorationWatch` logs, unless one is open.

        One that is just being finished makes up for the record, and holds the lock of the audit log until then.
        """
        if await restoration.select_open_restoration(self._database) is not None:
            return
        async with audited_transaction(self._database, during_restoration=True) as transaction:
            transaction.declare_unchanged()
            await transaction.lock_audit_log()
            if expected not in await journal.select_known(transaction, [expected]):
                detail = f"the journal ends with audit record {expected.seq}, which the audit log does not have"
                evidence = Evidence("journal", detail, audit_seq=expected.seq, audit_hash=expected.hash)
                await restoration.begin_restoration(transaction, evidence)

    async def _pause(self) -> None:
        """Wait until a request wants a reading, or for the interval."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_EVERY_S):
                await self.readings.wanted.wait()

    def _end_reading(self, number: int) -> None:
        self._ended = number
        self._metrics.journal_outage.set(0)
        self._outage.end()
        self._release(number)

    def _begin_outage(self, error: Exception) -> None:
        self._metrics.journal_failures.inc()
        self._metrics.journal_outage.set(1)
        self._outage.begin(error)
        self._release(self.readings.begun + 1)

    def _release(self, number: int) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted, ended in waiting:
            if wanted > number:
                self._waiting.append((wanted, ended))
            elif not ended.done():
                ended.set_result(None)
