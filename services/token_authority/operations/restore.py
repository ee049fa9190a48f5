"""Finish a restoration: end what may have ended before, and start the change log again in a new epoch.

An operator does this with access to the database. It only ever makes things end earlier.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import new_admin_key
from services.token_authority.domain.audit import AuditEntry, audit_fields
from services.token_authority.domain.audit_chain import Head
from services.token_authority.domain.journal import MergedJournals
from services.token_authority.domain.reapplication import Reapplied
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.restoration import Decision, Explained, Finished, ReportedChange, Restoration
from services.token_authority.domain.secret import mint_secret
from services.token_authority.operations.reapplication import Lacking, find_lacking, reapply
from services.token_authority.storage import admin_keys, changes, guards, restoration, secrets, sessions
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from services.token_authority.storage.reapplication import has_working_admin
from shared.contract.change import EPOCH_SIZE, first_seq_after
from shared.contract.sync import revocation_bound_s
from shared.runtime.postgres.database import Database
from shared.runtime.process.private_file import write_secret_file

FINISH_LIMIT_S: Final = 600.0
CHUNK: Final = 500
"""Audit records per statement."""
LOST: Final = Reason("other", "the database was restored and may lack the end of this token")
MAX_EPOCHS_AHEAD: Final = 1000
"""By how many epochs a journal may be ahead of the database. There are two million, one per restoration."""
_WRONG_NUMBER: Final = "a journal has a number of a change that cannot be right, so it was changed; leave that file out"
_WRONG_LOG: Final = "a journal is of another database, whose audit log began differently; leave that file out"
NOTHING_EXPLAINED: Final = Explained()


class LossesUnknown(NamedTuple):
    """Why a restoration cannot be finished by journals: they do not have everything that happened after the backup."""

    reasons: Sequence[str]


class FinishedRestoration(NamedTuple):
    """What finishing a restoration has done, and what was re-applied from journals before."""

    finished: Finished
    reapplied: Reapplied


async def finish(
    database: Database,
    decision: Decision,
    *,
    journals: MergedJournals,
    lease_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> FinishedRestoration | LossesUnknown | None:
    """Finish the open restoration. Return `None` if there is none. `lease_s` is the length of new leases.

    What journals have is re-applied, whatever the choice. With the choice `journal`, change nothing and return what is
    missing if they do not have everything that is known to have happened.
    """
    if not await wait_for_leases(database, lease_s, sleep):
        return None
    async with audited_transaction(database, FINISH_LIMIT_S, during_restoration=True) as transaction:
        await transaction.limit_statements(FINISH_LIMIT_S)
        await transaction.lock_audit_log()
        opened = await restoration.lock_open_restoration(transaction)
        if opened is None:
            transaction.declare_unchanged()
            return None
        reported = await restoration.select_reported_changes(transaction, opened)
        lacking = await find_lacking(transaction, journals)
        head = await changes.select_head(transaction)
        wrong = _find_wrong(journals, lacking, head)
        unknown = wrong or _find_unknown(opened, reported, journals, lacking)
        if wrong or (unknown and decision.choice == "journal"):
            transaction.declare_unchanged()
            return LossesUnknown(unknown)
        seq = _find_first_seq(opened, reported, max(head, journals.change_seq))
        reapplied = await reapply(transaction, lacking, journals, seq)
        explained = Explained(_explain(reported, lacking), journals.change_seq, _summarize(reapplied))
        return FinishedRestoration(await complete(transaction, opened, decision, explained), reapplied)


async def replace_lost_admin_key(database: Database, file: Path, by: Actor) -> str | None:
    """Create an admin key in the role admin, if none works, and write its secret to a new file. Return its id.

    Raise `OSError`, and `Restored` while a restoration is open.
    """
    now = datetime.now(UTC)
    key = new_admin_key("Created because none worked", "admin", None, None, created_by=str(by), now=now)
    minted = mint_secret("admin_key", key.id, now)
    async with audited_transaction(database) as transaction:
        await admin_keys.lock_admins(transaction)
        if await has_working_admin(transaction):
            transaction.declare_unchanged()
            return None
        await admin_keys.insert_admin_key(transaction, key)
        await secrets.insert_secret(transaction, "admin_key", minted.secret)
        after = {**audit_fields(key), "secret": minted.secret.id, "hint": minted.secret.hint}
        await transaction.record(AuditEntry(by, "admin_key.make", f"admin_key:{key.id}", after=after))
        await asyncio.to_thread(write_secret_file, file, minted.text + "\n")
    return key.id


def _find_first_seq(opened: Restoration, reported: Sequence[ReportedChange], highest_seq: int) -> int:
    """Return the first number of an epoch after every change that is known."""
    return first_seq_after(max(highest_seq, opened.expected_seq, *(each.seq for each in reported), 0))


def _explain(reported: Sequence[ReportedChange], lacking: Lacking) -> frozenset[bytes]:
    """Return the secrets whose reported changes were all made by records of the journals."""
    later = {each.digest for each in reported if each.seq > lacking.change_seq}
    return frozenset(each.digest for each in reported) - later


def _summarize(reapplied: Reapplied) -> dict[str, object]:
    if not reapplied.records:
        return {}
    return {
        "records": reapplied.records,
        "after": reapplied.base_seq,
        "head": {"seq": reapplied.head_seq, "hash": reapplied.head_hash},
        **reapplied.counts,
    }


def _find_wrong(journals: MergedJournals, lacking: Lacking, head: int) -> list[str]:
    """Return in words why a journal must not be used, whatever the choice."""
    wrong = [_WRONG_LOG] if lacking.is_of_another_log else []
    return wrong + [_WRONG_NUMBER] * (journals.change_seq > head + MAX_EPOCHS_AHEAD * EPOCH_SIZE)


def _find_unknown(
    opened: Restoration, reported: Sequence[ReportedChange], journals: MergedJournals, lacking: Lacking
) -> list[str]:
    """Return in words what is known to have happened after the backup and is not in the journals."""
    if not journals.records and journals.unreadable:
        return [f"none of the {journals.unreadable} lines of the journals is an audit record"]
    if not journals.records:
        return ["there is no journal"]
    reasons = [f"the audit records before record {seq} are missing" for seq in lacking.gaps]
    if not lacking.records:
        reasons.append(
            "the journals have no audit record that the database lacks, so they may have begun after the restore, or "
            "nothing happened after the backup"
        )
    if journals.has_unreadable_end:
        reasons.append("the end of a journal cannot be read, so its last records may be missing")
    proven = Head(opened.evidence.audit_seq, opened.evidence.audit_hash)
    if proven.seq and proven not in {record.head for record in journals.records}:
        reasons.append(f"no journal has audit record {proven.seq}, which is known to have existed")
    highest = max([opened.expected_seq, *(each.seq for each in reported)])
    if highest > lacking.change_seq:
        reasons.append(
            f"there were changes up to number {highest}, and the journals have those up to {lacking.change_seq}"
        )
    return reasons


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
    decision: Decision,
    explained: Explained = NOTHING_EXPLAINED,
) -> Finished:
    """Do what finishing does in one transaction, after what was re-applied from a journal.

    The caller has waited for leases, and has locked the audit log and the restoration `opened`.
    """
    choice, by = decision.choice, decision.by
    reported = await restoration.select_reported_changes(transaction, opened)
    highest_seq = max(await changes.select_head(transaction), explained.highest_seq)
    seq = _find_first_seq(opened, reported, highest_seq)
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
        AuditEntry(by, "restore.finish", f"restoration:{opened.id}", after=_summary(finished, decision, explained)),
    )
    await changes.lock_log(transaction)
    await changes.restart_log(transaction, seq)
    await guards.delete_leases(transaction)
    await restoration.finish_restoration(transaction, opened, str(by), decision.how)
    return finished


def _revocation(token_id: str, by: Actor) -> AuditEntry:
    after = {"revoked_reason": LOST.kind, "revoked_text": LOST.text}
    return AuditEntry(by, "token.revoke", f"token:{token_id}", after=after)


def _summary(finished: Finished, decision: Decision, explained: Explained) -> dict[str, object]:
    return {
        "choice": decision.choice,
        "how": decision.how,
        "reported_changes": finished.reported_changes,
        "ended_secrets": sum(map(len, finished.ended_secrets.values())),
        "revoked_tokens": finished.revoked_tokens,
        "first_seq": finished.epoch_seq,
        **({"journal": explained.summary} if explained.summary else {}),
    }
