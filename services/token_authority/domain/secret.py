"""A secret of a token, an admin key or a service, and its rotation."""

from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.idempotency import IdempotencyKey
from shared.contract.token import ACCESS_TOKEN, ADMIN_KEY, CLIENT_SECRET, Prefix, digest, hint, mint, random_base62

HolderKind = Literal["token", "admin_key", "service"]

DEFAULT_OVERLAP_S: Final = 3600
MAX_OVERLAP_S: Final = 30 * 86_400
MAX_LIVE: Final = 5
"""Secrets of one holder that work at the same time."""

_PREFIXES: Final[dict[HolderKind, Prefix]] = {"token": ACCESS_TOKEN, "admin_key": ADMIN_KEY, "service": CLIENT_SECRET}


class Secret(Struct, frozen=True, kw_only=True):
    """The stored form of a secret. Without `ends_at` it works as long as its holder does. Once `ended` it does not
    work, whatever the clock says.

    `ends_on_use`: it ends with the first use of the secret that replaced it. `late_uses` counts how often it was
    presented after its end.
    """

    id: str
    holder_id: str
    digest: bytes
    hint: str
    created_at: datetime
    ends_at: datetime | None = None
    ended: bool = False
    ends_on_use: bool = False
    first_used_at: datetime | None = None
    last_used_at: datetime | None = None
    late_uses: int = 0
    last_late_use_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Return whether it has not ended."""
        return not self.ended and (self.ends_at is None or self.ends_at > now)


class MintedSecret(Struct, frozen=True):
    """A new secret with its text, which is not stored."""

    secret: Secret
    text: str


class Rotation(Struct, frozen=True):
    """How a new secret replaces the older ones: these work for `overlap_s` more seconds, and not at all with 0.

    With `end_on_use` they end earlier, with the first use of the new one.
    """

    overlap_s: int = DEFAULT_OVERLAP_S
    end_on_use: bool = False
    key: IdempotencyKey | None = None

    @property
    def ends_old_secrets(self) -> bool:
        """Whether the older secrets end immediately."""
        return self.overlap_s == 0

    def old_secrets_end_at(self, now: datetime) -> datetime:
        """Return when the older secrets end: at a whole second, the precision of `exp` in introspection."""
        if self.ends_old_secrets:
            return now
        return now.replace(microsecond=0) + timedelta(seconds=self.overlap_s + 1)


def new_rotation(
    overlap_s: int, *, end_on_use: bool, key: IdempotencyKey | None, max_overlap_s: int = MAX_OVERLAP_S
) -> Rotation:
    """Return a valid rotation. Raise `InvalidValue`."""
    if not 0 <= overlap_s <= max_overlap_s:
        longest = f"{max_overlap_s // 86_400} {'day' if max_overlap_s == 86_400 else 'days'}"
        raise InvalidValue(("overlap_s",), f"must be 0 to {max_overlap_s} seconds ({longest})")
    if end_on_use and overlap_s == 0:
        raise InvalidValue(("end_on_use",), "must be false with an overlap of 0, which ends the old secret immediately")
    return Rotation(overlap_s, end_on_use, key)


def mint_secret(holder_kind: HolderKind, holder_id: str, now: datetime) -> MintedSecret:
    """Create a new secret for a holder."""
    text = mint(_PREFIXES[holder_kind])
    return MintedSecret(secret_from(text, holder_id, now), text)


def secret_from(text: str, holder_id: str, now: datetime) -> Secret:
    """Return the stored form of an existing secret."""
    return Secret(
        id=f"sec_{random_base62(16)}",
        holder_id=holder_id,
        digest=digest(text),
        hint=hint(text),
        created_at=now,
    )
