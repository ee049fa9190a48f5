"""Rotate the secret of a token, an admin key or a service."""

from datetime import datetime

import msgspec

from services.token_authority.domain.errors import TooManySecrets
from services.token_authority.domain.secret import MAX_LIVE, HolderKind, MintedSecret, Rotation, mint_secret
from services.token_authority.operations.idempotency import find_lost_secret
from services.token_authority.storage import secrets
from shared.runtime.postgres.database import Connection


async def rotate_secret(
    transaction: Connection, holder_kind: HolderKind, holder_id: str, rotation: Rotation, now: datetime
) -> MintedSecret:
    """Create a new secret and let the older ones end as the rotation says. The caller has locked the holder.

    A repetition under the same Idempotency-Key replaces the secret whose response was lost, unless it is in use.
    Raise `IdempotencyKeyReused`, `RotationInUse` or `TooManySecrets`.
    """
    minted = mint_secret(holder_kind, holder_id, now)
    lost = await find_lost_secret(transaction, holder_kind, holder_id, rotation.key)
    if lost is not None:
        await secrets.replace_secret(transaction, lost.id, minted.secret)
        return MintedSecret(msgspec.structs.replace(minted.secret, id=lost.id), minted.text)
    found = await secrets.select_secrets(transaction, holder_kind, holder_id)
    if rotation.overlap_s and sum(secret.works(now) for secret in found) >= MAX_LIVE:
        raise TooManySecrets
    await secrets.insert_secret(transaction, holder_kind, minted.secret, rotation.key)
    await secrets.end_other_secrets(transaction, holder_kind, minted.secret, rotation, now)
    return minted
