"""Verify the audit log on the server, record by record, while other requests are handled."""

import asyncio
from itertools import islice
from typing import Final

import msgspec

from services.token_authority.domain.audit import AuditSelection
from services.token_authority.domain.audit_chain import EMPTY, ChainReport, Head
from services.token_authority.storage.audit import select_audit, select_audit_chain
from shared.contract.audit import BrokenChain, ChainCheck
from shared.runtime.postgres.database import Database

CHUNK: Final = 1000
"""Records per statement."""
PART: Final = 100
"""Records that are decoded and checked in one step of the event loop: about 1 ms, and 12 ms for the largest."""


class ChainVerifier:
    """Verifies the audit log, once at a time, so that other requests keep most of the process. Create one instance."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()

    async def verify(self, earlier: Head | None = None) -> ChainReport:
        """Return the report of `verify_chain`, after those of callers before."""
        async with self._lock:
            return await verify_chain(self._database, earlier)


async def verify_chain(database: Database, earlier: Head | None = None) -> ChainReport:
    """Check every record of the log in order, up to the first that breaks the chain.

    With an earlier head, also check whether the log still has it: a log that was cut off, or whose hashes were all
    computed again, is a chain as well.
    """
    check, broken = ChainCheck(), None
    try:
        while await _check_chunk(database, check) == CHUNK:
            pass
    except BrokenChain as error:
        broken = str(error)
    except (msgspec.MsgspecError, RecursionError):
        broken = f"record {check.head[0] + 1} cannot be read"
    head = Head(*check.head)
    return ChainReport(head.seq, head, broken, None if earlier is None else await _has_head(database, earlier))


async def _check_chunk(database: Database, check: ChainCheck) -> int:
    """Check the next records. Return how many. Raise `BrokenChain`, or an error of msgspec."""
    first = check.head
    records = await select_audit_chain(database, first[0] or None, CHUNK)
    before = None
    while before != check.head:
        before = check.head
        check.check(islice(records, PART))
        await asyncio.sleep(0)
    return check.head[0] - first[0]


async def _has_head(database: Database, earlier: Head) -> bool:
    found = await select_audit(database, AuditSelection(), earlier.seq - 1, 1)
    return earlier == EMPTY or [(record.seq, record.hash) for record in found] == [earlier]
