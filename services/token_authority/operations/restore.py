"""Finish a restoration: end what may have ended before, and start the change log again in a new epoch.

An operator does this with access to the database. It only ever makes things end earlier.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.restoration import Choice, Explained, Finished, Restoration
from services.token_authority.storage import changes, guards, restoration, sessions
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from shared.contract.change import first_seq_after
from shared.contract.sync import revocation_bound_s
from shared.runtime.postgres.database import Database

FINISH_LIMIT_S: Final = 600.0
CHUNK: Final = 500
"""Audit records per statement."""
LOST: Final = Reason("other", "the database was restored and may lack the end of this token")
NOTHING_EXPLAINED: Final = Explained()


async def finish(
    database: Database,
    choice: Choice,
    by: Actor,
    how: str,
    *,
    lease_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Finished | None:
    """Finish the open restoration. Return `None` if there is none. `lease_s` is the length of new leases."""
    if not await wait_for_leases(database, lease_s, sleep):
        return None
    async with audited_transaction(database, FINISH_LIMIT_S, during_restoration=True) as transaction:
        await transaction.limit_statements(FINISH_LIMIT_S)
        await transaction.lock_audit_log()
        opened = await restoration.lock_open_restoration(transaction)
        if opened is None:
            transaction.declare_unchanged()
            return None
        return await complete(transaction, opened, choice, by, how)


async def wait_for_leases(database: Database, lease_s: float, sleep: Callable[[float], Awaitable[None]]) -> bool:
    """Wait until no guard uses its cache any longer. Return false, without waiting, if no restoration is open.

    A guard may hold a lease that the restored database does not know. It got it before the restoration began, as no
    sync is answered since; a sync that read the log before has committed once the log can be locked.
    """
    async with audited_transaction(database) as transaction:
        transaction.declare_unchanged()
        if await restoration.select_open_restoration(transaction) is None:
            return False
        await changes.lock_log(transaction)
        longest_s = await guards.select_longest_lease(transaction)
    await sleep(revocation_bound_s(max(lease_s, longest_s)))
    return True


async def complete(
    transaction: AuditedTransaction,
    opened: Restoration,
    choice: Choice,
    by: Actor,
    how: str,
    explained: Explained = NOTHING_EXPLAINED,
) -> Finished:
    """Do what finishing does in one transaction, after what was re-applied from a journal.

    The caller has waited for leases, and has locked the audit log and the restoration `opened`. `how` is stored in
    words.
    """
    reported = await restoration.select_reported_changes(transaction, opened)
    head = await changes.select_head(transaction)
    seq = first_seq_after(max(head, opened.expected_seq, explained.highest_seq, *(each.seq for each in reported), 0))
    unexplained = {each.digest for each in reported} - explained.digests
    ended = await restoration.end_reported_secrets(transaction, sorted(unexplained))
    revoked = (
        await restoration.revoke_working_tokens(transaction, seq, by, LOST) if choice == "revoke-working-tokens" else []
    )
    await sessions.delete_sessions(transaction)
    finished = Finished(seq, ended, len(reported), len(revoked))
    for start in range(0, len(revoked), CHUNK):
        await transaction.record(*(_revocation(token_id, by) for token_id in revoked[start : start + CHUNK]))
    await transaction.record(
        *(
            AuditEntry(by, "token.end_reported_secrets", f"token:{token_id}", after={"secrets": secret_ids})
            for token_id, secret_ids in ended.items()
        ),
        AuditEntry(by, "restore.finish", f"restoration:{opened.id}", after=_summary(finished, choice, how, explained)),
    )
    await changes.lock_log(transaction)
    await changes.restart_log(transaction, seq)
    await guards.delete_leases(transaction)
    await restoration.finish_restoration(transaction, opened, str(by), how)
    return finished


def _revocation(token_id: str, by: Actor) -> AuditEntry:
    after = {"revoked_reason": LOST.kind, "revoked_text": LOST.text}
    return AuditEntry(by, "token.revoke", f"token:{token_id}", after=after)


def _summary(finished: Finished, choice: Choice, how: str, explained: Explained) -> dict[str, object]:
    return {
        "choice": choice,
        "how": how,
        "reported_changes": finished.reported_changes,
        "ended_secrets": sum(map(len, finished.ended_secrets.values())),
        "revoked_tokens": finished.revoked_tokens,
        "first_seq": finished.epoch_seq,
        **({"journal": explained.summary} if explained.summary else {}),
    }
