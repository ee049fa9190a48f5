"""Do again in a restored database what had ended or narrowed after its backup, as journals and exports have it."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from services.token_authority.domain.audit_chain import EMPTY, Head
from services.token_authority.domain.journal import JournalRecord, MergedJournals
from services.token_authority.domain.reapplication import (
    Losses,
    Reapplied,
    collect_losses,
    narrow_admin_key,
    narrow_service,
    narrow_token,
    recorded_actor,
    recorded_reason,
)
from services.token_authority.domain.secret import HolderKind
from services.token_authority.storage import admin_keys, journal, reapplication, services, tokens
from services.token_authority.storage.reapplication import RecordedRevocation
from shared.runtime.postgres.database import Connection

CHUNK: Final = 500
"""Tokens or records per statement."""

_HOLDER_KINDS: Final[dict[str, HolderKind]] = {"token": "token", "admin_key": "admin_key", "service": "service"}


class Lacking(NamedTuple):
    """The records of journals that the audit log lacks, in order. `gaps` are the numbers of those whose predecessor is
    in neither. `is_of_another_log`: one is the first of an audit log that began with another record than this one.
    """

    records: Sequence[JournalRecord]
    gaps: Sequence[int]
    is_of_another_log: bool = False

    @property
    def change_seq(self) -> int:
        """The last lost change that these records explain, 0 if they explain none.

        Records that the audit log has explain none: the log may have got them after the restore, with the same numbers.
        """
        return max((record.change_seq or 0 for record in self.records), default=0)


async def find_lacking(connection: Connection, journals: MergedJournals) -> Lacking:
    """Return the records that the audit log lacks, and that no earlier restoration has made up for."""
    known = await journal.select_known(connection, [record.head for record in journals.records])
    lacking = [record for record in journals.records if record.head not in known]
    heads = {record.head for record in journals.records}
    before = [Head(record.seq - 1, record.previous) for record in lacking]
    unknown = [head for head in before if head not in heads and head != EMPTY]
    found = await journal.select_known(connection, unknown)
    gaps = sorted(head.seq + 1 for head in unknown if head not in found)
    return Lacking(lacking, gaps, EMPTY in before and await journal.select_audit_head(connection) != EMPTY)


async def reapply(connection: Connection, lacking: Lacking, journals: MergedJournals, seq: int) -> Reapplied:
    """End and narrow again what these records say, as of the change `seq`.

    The caller has locked the audit log, in whose transaction this is, and deletes the sessions. A journal that ends
    with one of these records is no proof of a later restoration.
    """
    records = lacking.records
    base_seq = min((record.seq for record in records), default=journals.head.seq + 1) - 1
    done = _Reapplication(connection, seq)
    await done.apply(collect_losses(records))
    for start in range(0, len(records), CHUNK):
        await journal.insert_replaced(connection, [each.head for each in records[start : start + CHUNK]], base_seq)
    head = records[-1].head if records else journals.head
    return Reapplied(
        records=len(records),
        base_seq=base_seq,
        head_seq=head.seq,
        head_hash=head.hash,
        change_seq=journals.change_seq,
        gaps=list(lacking.gaps),
        unreadable_lines=journals.unreadable,
        applied={what: ids for what, ids in done.applied.items() if ids},
        lost=done.lost,
        lost_secrets=done.lost_secrets,
        not_applied=dict(done.not_applied),
    )


class _Reapplication:
    """Ends and narrows, and collects what was done."""

    def __init__(self, connection: Connection, seq: int) -> None:
        self.applied: defaultdict[str, list[str]] = defaultdict(list)
        self.lost: list[str] = []
        self.lost_secrets: list[str] = []
        self.not_applied: defaultdict[str, list[str]] = defaultdict(list)
        self._connection = connection
        self._seq = seq

    async def apply(self, found: Sequence[Losses]) -> None:
        await self._revoke_tokens(losses for losses in found if losses.kind == "token")
        for losses in found:
            # The settings create a service again, by the name that it had before.
            if losses.is_created and losses.kind != "service":
                self.lost.append(losses.subject)
            elif losses.kind in _HOLDER_KINDS:
                await self._apply_to_holder(_HOLDER_KINDS[losses.kind], losses)
        if any(losses.kind == "signing_key" and (losses.rotations or losses.end) for losses in found):
            self.applied["signing keys removed"] += await reapplication.delete_signing_keys(self._connection)

    async def _revoke_tokens(self, found: Iterable[Losses]) -> None:
        """Revoke many tokens per statement, because a leak may have ended all of them."""
        revocations = [
            RecordedRevocation(
                losses.id,
                losses.end.at,
                recorded_actor(losses.end),
                recorded_reason(losses.end),
                losses.end.action == "token.purge",
            )
            for losses in found
            if losses.end is not None and not losses.is_created
        ]
        revocations.sort()
        for start in range(0, len(revocations), CHUNK):
            self.applied["tokens revoked"] += await reapplication.revoke_tokens(
                self._connection, revocations[start : start + CHUNK], self._seq
            )

    async def _apply_to_holder(self, kind: HolderKind, losses: Losses) -> None:
        is_found = await _APPLY[kind](self, losses)
        if not is_found:
            (self.lost if losses.is_created else self.not_applied["unknown"]).append(losses.subject)
            return
        ended = await reapplication.end_secrets(self._connection, kind, losses.id, losses.ended_secrets)
        for rotation in losses.rotations:
            ended += await reapplication.end_rotated_secrets(self._connection, kind, losses.id, rotation)
        self.applied["secrets ended"] += sorted({*ended})
        if losses.has_new_secret and losses.end is None:
            self.lost_secrets.append(losses.subject)
        for action in dict.fromkeys(losses.others):
            self.not_applied[action].append(losses.subject)

    async def apply_to_token(self, losses: Losses) -> bool:
        token = await tokens.lock_token(self._connection, losses.id)
        if token is None:
            return False
        changed = narrow_token(token, losses.narrowed)
        if changed != token:
            self.applied["tokens narrowed"].append(token.id)
        if losses.disabling is not None and token.disabled_at is None:
            reason = losses.disabling.after.get("disabled_reason")
            changed = msgspec.structs.replace(
                changed,
                disabled_at=losses.disabling.at,
                disabled_by=recorded_actor(losses.disabling),
                disabled_reason=reason if isinstance(reason, str) else None,
            )
            self.applied["tokens disabled"].append(token.id)
        if changed != token:
            await tokens.update_token(self._connection, changed)
        return True

    async def apply_to_admin_key(self, losses: Losses) -> bool:
        key = await admin_keys.lock_admin_key(self._connection, losses.id)
        if key is None:
            return False
        changed = narrow_admin_key(key, losses.narrowed)
        if changed != key:
            await admin_keys.update_admin_key(self._connection, changed)
            self.applied["admin keys narrowed"].append(key.id)
        end = losses.end
        if end is not None and await reapplication.revoke_admin_key(
            self._connection, key.id, end.at, recorded_actor(end)
        ):
            self.applied["admin keys revoked"].append(key.id)
        return True

    async def apply_to_service(self, losses: Losses) -> bool:
        service = await services.lock_service(self._connection, losses.id)
        if service is None:
            return False
        changed = narrow_service(service, losses.narrowed)
        if changed.sites != service.sites:
            self.applied["services narrowed"].append(service.client_id)
        if changed.public_key != service.public_key:
            self.applied["public keys removed"].append(service.client_id)
        if losses.disabling is not None and service.disabled_at is None:
            changed = msgspec.structs.replace(
                changed, disabled_at=losses.disabling.at, disabled_by=recorded_actor(losses.disabling)
            )
            self.applied["services disabled"].append(service.client_id)
        if changed != service:
            await services.update_service(self._connection, changed)
        return True


_APPLY: Final[dict[HolderKind, Callable[[_Reapplication, Losses], Awaitable[bool]]]] = {
    "token": _Reapplication.apply_to_token,
    "admin_key": _Reapplication.apply_to_admin_key,
    "service": _Reapplication.apply_to_service,
}
