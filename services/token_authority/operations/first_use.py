"""Store the first use of a secret, which may end older ones, with its audit record."""

from datetime import datetime

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.secret import HolderKind
from services.token_authority.storage import admin_keys, secrets, services
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from shared.runtime.postgres.database import Database


async def record_first_use(
    transaction: AuditedTransaction, holder_kind: HolderKind, holder_id: str, digest: bytes, by: Actor, now: datetime
) -> list[bytes]:
    """Store the first use of a secret, and end the older ones that end with it. Return their digests.

    The caller has locked the holder. Without an older secret to end, the transaction is declared unchanged.
    """
    transaction.declare_unchanged()
    used = await secrets.note_first_use(transaction, digest, now)
    if used is None:
        return []
    ended = await secrets.end_on_use(transaction, holder_kind, holder_id, used.created_at, now)
    if ended:
        after = {"ended": [secret.id for secret in ended], "used": used.id}
        subject = f"{holder_kind}:{holder_id}"
        await transaction.record(AuditEntry(by, f"{holder_kind}.end_old_secret", subject, after=after))
    return [secret.digest for secret in ended]


async def record_first_use_of_admin_key(
    database: Database, key_id: str, digest: bytes, by: Actor, now: datetime
) -> None:
    """Store the first use of a secret of an admin key."""
    async with audited_transaction(database) as transaction:
        await admin_keys.lock_admin_key(transaction, key_id)
        await record_first_use(transaction, "admin_key", key_id, digest, by, now)


async def record_first_use_of_service(
    database: Database, client_id: str, digest: bytes, by: Actor, now: datetime
) -> None:
    """Store the first use of a secret of a service."""
    async with audited_transaction(database) as transaction:
        await services.lock_service(transaction, client_id)
        await record_first_use(transaction, "service", client_id, digest, by, now)
