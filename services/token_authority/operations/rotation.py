"""Give a token, an admin key or a service another secret, with its audit record.

In every function, the caller has locked the holder.
"""

from datetime import datetime
from typing import NamedTuple

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import RotationInUse, TooManySecrets
from services.token_authority.domain.secret import MAX_LIVE, HolderKind, MintedSecret, Rotation, Secret, mint_secret
from services.token_authority.domain.token_change import Renewal
from services.token_authority.operations.idempotency import find_earlier_request, remember_request
from services.token_authority.storage import secrets
from services.token_authority.storage.audit import AuditedTransaction


class RotatedSecret(NamedTuple):
    """A new secret, and when the last of the older ones ends."""

    minted: MintedSecret
    old_secrets_end_at: datetime | None


async def rotate_or_repeat(
    transaction: AuditedTransaction,
    holder_kind: HolderKind,
    holder_id: str,
    rotation: Rotation,
    by: Actor,
    now: datetime,
) -> RotatedSecret:
    """Create a new secret; for a repeated request, replace the secret whose response was lost.

    Raise `IdempotencyKeyReused`, `RotationInUse` or `TooManySecrets`.
    """
    earlier = await find_earlier_request(transaction, rotation.key)
    if earlier is not None and earlier.secret_id is not None:
        minted = await replace_lost_secret(transaction, holder_kind, holder_id, earlier.secret_id, by, now)
    else:
        minted = await rotate_secret(transaction, holder_kind, holder_id, rotation, by, now)
    others = await secrets.select_secrets(transaction, holder_kind, holder_id)
    return RotatedSecret(minted, max((each.ends_at for each in others if each.ends_at), default=None))


async def rotate_secret(
    transaction: AuditedTransaction,
    holder_kind: HolderKind,
    holder_id: str,
    rotation: Rotation,
    by: Actor,
    now: datetime,
    renewal: Renewal | None = None,
) -> MintedSecret:
    """Create a new secret and let the older ones end as the rotation says.

    With a renewal of the token, they end no later than the token would have ended. Raise `TooManySecrets`.
    """
    end = rotation.old_secrets_end_at(now)
    if renewal is not None and renewal.old_end is not None:
        end = min(end, renewal.old_end)
    found = await secrets.select_secrets(transaction, holder_kind, holder_id)
    if end > now and sum(secret.works(now) for secret in found) >= MAX_LIVE:
        raise TooManySecrets(f"The maximum of {MAX_LIVE} secrets are valid")
    minted = mint_secret(holder_kind, holder_id, now)
    await secrets.insert_secret(transaction, holder_kind, minted.secret)
    await secrets.end_other_secrets(transaction, holder_kind, minted.secret, end, now, end_on_use=rotation.end_on_use)
    await remember_request(transaction, rotation.key, holder_id, minted.secret.id)
    before, after = (renewal.old_fields, renewal.new_fields) if renewal else ({}, {})
    if found:
        before = {"hint": found[0].hint, **before}
    after = {
        "secret": minted.secret.id,
        "hint": minted.secret.hint,
        "overlap_s": rotation.overlap_s,
        "end_on_use": rotation.end_on_use,
        **after,
    }
    await transaction.record(AuditEntry(by, f"{holder_kind}.rotate", f"{holder_kind}:{holder_id}", before, after))
    return minted


async def replace_lost_secret(
    transaction: AuditedTransaction, holder_kind: HolderKind, holder_id: str, secret_id: str, by: Actor, now: datetime
) -> MintedSecret:
    """Replace a secret whose response was lost, unless it was used or has an end. Raise `RotationInUse`."""
    lost = _find(await secrets.select_secrets(transaction, holder_kind, holder_id), secret_id)
    minted = mint_secret(holder_kind, holder_id, now)
    await secrets.replace_secret(transaction, lost.id, minted.secret)
    await transaction.record(
        AuditEntry(
            by,
            f"{holder_kind}.replace_secret",
            f"{holder_kind}:{holder_id}",
            {"hint": lost.hint},
            {"secret": lost.id, "hint": minted.secret.hint},
        )
    )
    return MintedSecret(msgspec.structs.replace(minted.secret, id=lost.id), minted.text)


def _find(found: list[Secret], secret_id: str) -> Secret:
    for secret in found:
        if secret.id == secret_id and secret.first_used_at is None and secret.ends_at is None:
            return secret
    raise RotationInUse
