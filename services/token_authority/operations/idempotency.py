"""Recognise a rotation that is repeated under its `Idempotency-Key`."""

from services.token_authority.domain.errors import IdempotencyKeyReused, RotationInUse
from services.token_authority.domain.idempotency import IdempotencyKey
from services.token_authority.domain.secret import HolderKind, Secret
from services.token_authority.storage.idempotency import select_rotated
from shared.runtime.postgres.database import Connection


async def find_lost_secret(
    transaction: Connection, holder_kind: HolderKind, holder_id: str, key: IdempotencyKey | None
) -> Secret | None:
    """Return the unused secret that an earlier request under `key` created; `None` without one.

    Raise `IdempotencyKeyReused` if that request had other parameters, `RotationInUse` if its secret is in use.
    """
    earlier = None if key is None else await select_rotated(transaction, holder_kind, holder_id, key)
    if key is None or earlier is None:
        return None
    secret, request_digest = earlier
    if request_digest != key.request_digest:
        raise IdempotencyKeyReused
    if secret.first_used_at is not None or secret.ends_at is not None:
        raise RotationInUse
    return secret
