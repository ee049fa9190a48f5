"""Examine what the token authority has stored: the change log, the leases of guards, keys and the audit log."""

import asyncio
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pollgate.doctor.finding import Examination
from services.token_authority.domain.lease import Lease
from services.token_authority.domain.signing_key import ROTATED_AFTER
from services.token_authority.storage import guards, restoration
from shared.runtime.postgres.database import Connection, Database

RENEWAL_S: Final = 2.5
"""How long to wait for the renewal of each lease. A guard renews a lease of five seconds every second."""
_LOOK_EVERY_S: Final = 0.25
_OLD_KEY: Final = timedelta(days=365)
_OLD_BACKUP: Final = timedelta(days=2)
_UNPUBLISHED_AFTER_S: Final = 5

_SELECT_UNPUBLISHED: Final = """
    -- doctor_unpublished: how many changes have waited for Redis for so many seconds
    SELECT count(*) AS waiting FROM token_authority.change_log
    WHERE published_at IS NULL AND recorded_at < clock_timestamp() - $1 * interval '1 second'
"""
_SELECT_KEYS: Final = """
    -- doctor_keys: the oldest credentials that work, and the current signing key
    SELECT clock_timestamp() AS now,
           (SELECT min(s.created_at) FROM token_authority.secret s
            JOIN token_authority.admin_key k ON s.holder_kind = 'admin_key' AND s.holder_id = k.id
            WHERE k.revoked_at IS NULL AND NOT s.ended AND (s.ends_at IS NULL OR s.ends_at > now())) AS admin_key,
           (SELECT min(s.created_at) FROM token_authority.secret s
            JOIN token_authority.service v ON s.holder_kind = 'service' AND s.holder_id = v.client_id
            WHERE v.disabled_at IS NULL AND NOT s.ended AND (s.ends_at IS NULL OR s.ends_at > now())) AS service_secret,
           (SELECT max(created_at) FROM token_authority.signing_key WHERE signs_from <= now()) AS signing_key
"""
_SELECT_AUDIT: Final = """
    -- doctor_audit: a record of the audit log, or else the last one
    SELECT seq, encode(hash, 'hex') AS hash, at, clock_timestamp() AS now FROM token_authority.audit_log
    WHERE $1::bigint IS NULL OR seq = $1 ORDER BY seq DESC LIMIT 1
"""


class AuditHead(NamedTuple):
    """The last record of the audit log when a backup was made."""

    seq: int
    hash: str


async def examine_stored(examination: Examination, database: Database, backed_up: AuditHead | None) -> None:
    """Add what is found in the authority's schema. `backed_up` is the audit head that was noted with a backup."""
    if await _examine_restoration(examination, database):
        await _examine_leases(examination, database)
    await _examine_publishing(examination, database)
    await _examine_keys(examination, database)
    await _examine_audit(examination, database, backed_up)


async def _examine_restoration(examination: Examination, database: Database) -> bool:
    """Add whether a restore of the database is unfinished. Return whether the database may be trusted."""
    found = await restoration.select_open_restoration(database)
    if found is None:
        examination.ok("restore", "none is unfinished")
        return True
    examination.fail(
        "restore",
        f"the database was restored ({found.evidence.detail}), so no token is accepted",
        "run `pollgate restore status`, then `pollgate restore finish`",
    )
    return False


async def _examine_leases(examination: Examination, database: Database) -> None:
    """Wait until each guard has renewed its lease, or should have done so."""
    before = {lease.guard: lease for lease in (await guards.select_leases(database)).leases}
    loop = asyncio.get_running_loop()
    until = loop.time() + RENEWAL_S
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        leases, head = await guards.select_leases(database)
        idle = [lease for lease in leases if _is_idle(lease, before.get(lease.guard))]
        if not idle or loop.time() > until:
            break
    names = ", ".join(sorted({f"{lease.guard.client_id} {lease.guard.guard_id[:8]}" for lease in idle}))
    examination.judge(
        "leases",
        f"{len(leases)} with a lease" + (f", not renewed for {RENEWAL_S:g} s: {names}" if idle else ", all renewed"),
        "a guard stopped without releasing its lease, or cannot reach the authority; revocations wait for it until its "
        "lease expires",
        warns=bool(idle),
    )
    lag = max((head - lease.applied for lease in leases if lease not in idle), default=0)
    examination.judge(
        "feed lag",
        f"the slowest guard has applied all but {lag} changes" if lag else "every guard has applied every change",
        "run this again; if it does not catch up, look at its log",
        warns=lag > 0,
    )


def _is_idle(lease: Lease, earlier: Lease | None) -> bool:
    return earlier is not None and earlier.renewal == lease.renewal and lease.lease_s / 2 <= RENEWAL_S


async def _examine_publishing(examination: Examination, connection: Connection) -> None:
    (row,) = await connection.fetch(_SELECT_UNPUBLISHED, _UNPUBLISHED_AFTER_S)
    examination.judge(
        "publishing",
        f"{row['waiting']} changes wait for Redis" if row["waiting"] else "every change was published on Redis",
        "start Redis or correct REDIS_URL of the authority; until then revocations reach guards by their syncs",
        warns=row["waiting"] > 0,
    )


async def _examine_keys(examination: Examination, connection: Connection) -> None:
    (row,) = await connection.fetch(_SELECT_KEYS)
    for check, column, rotate in (
        ("oldest admin key", "admin_key", "pollgate admin rotate"),
        ("oldest service secret", "service_secret", "pollgate service rotate"),
    ):
        if (created_at := row[column]) is not None:
            age = row["now"] - created_at
            examination.judge(check, f"{age.days} days old", f"run `{rotate}`", warns=age > _OLD_KEY)
    created_at = row["signing_key"]
    if created_at is None:
        examination.fail("signing key", "there is none", "start the token authority, which creates one")
        return
    age = row["now"] - created_at
    examination.judge(
        "signing key",
        f"{age.days} days old",
        "the authority replaces it by itself; read its log, or run `pollgate keys rotate`",
        warns=age > 2 * ROTATED_AFTER,
    )


async def _examine_audit(examination: Examination, connection: Connection, backed_up: AuditHead | None) -> None:
    last = await connection.fetchrow(_SELECT_AUDIT, None)
    if last is not None:
        examination.ok("audit head", f"{last['seq']}:{last['hash']}")
    if backed_up is None:
        examination.skip(
            "backup", "no audit head of a backup was given", "give the head that was noted with it as --audit-head"
        )
        return
    row = await connection.fetchrow(_SELECT_AUDIT, backed_up.seq)
    if row is None or row["hash"] != backed_up.hash:
        examination.fail(
            "backup",
            f"the audit log has no record {backed_up.seq} with this hash, so it is not the log of the backup",
            "find out which of both was replaced; docs/backup.md says what to do after a restore",
        )
        return
    age: timedelta = row["now"] - row["at"]
    examination.judge(
        "backup",
        f"the last record in it is of {_format(row['at'])}, {last['seq'] - row['seq'] if last else 0} records ago",
        "make a backup, and note the audit head with it",
        warns=age > _OLD_BACKUP and last is not None and last["seq"] > row["seq"],
    )


def _format(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
