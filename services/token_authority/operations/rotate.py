"""Put a new secret in the place of those that a token, an admin key or a service has."""

from datetime import datetime

import msgspec

from services.token_authority.domain.errors import RotationDiffers, RotationInUse, TooManySecrets
from services.token_authority.domain.secret import (
    MAX_LIVE,
    HolderKind,
    MintedSecret,
    Rotation,
    Secret,
    mint_secret,
)
from services.token_authority.storage import secrets
from shared.runtime.postgres.database import Connection


async def rotate_secret(
    transaction: Connection, holder_kind: HolderKind, holder_id: str, rotation: Rotation, now: datetime
) -> MintedSecret:
    """The new secret; those before it end as the rotation says. The caller holds the lock of the holder.

    Under the same key again, while nobody has used the new secret, another takes its place: the answer that showed it
    was lost. Raises `RotationDiffers`, `RotationInUse`, `TooManySecrets`.
    """
    minted = mint_secret(holder_kind, holder_id, now)
    lost = await _lost(transaction, holder_kind, holder_id, rotation)
    if lost is not None:
        await secrets.replace_secret(transaction, lost.id, minted.secret)
        return MintedSecret(msgspec.structs.replace(minted.secret, id=lost.id), minted.text)
    known = await secrets.select_secrets(transaction, holder_kind, holder_id)
    if rotation.overlap_s and sum(secret.works(now) for secret in known) >= MAX_LIVE:
        raise TooManySecrets
    await secrets.insert_secret(transaction, holder_kind, minted.secret, rotation)
    await secrets.end_other_secrets(transaction, holder_kind, minted.secret, rotation, now)
    return minted


async def _lost(transaction: Connection, holder_kind: HolderKind, holder_id: str, rotation: Rotation) -> Secret | None:
    """The secret that an earlier request under the same key has made, and that nobody has used."""
    earlier = await secrets.select_rotated(transaction, holder_kind, holder_id, rotation)
    if earlier is None:
        return None
    secret, request_digest = earlier
    if request_digest != rotation.request_digest:
        raise RotationDiffers
    if secret.first_used_at is not None or secret.ends_at is not None:
        raise RotationInUse
    return secret
