"""A secret of a token, an admin key or a service: how it is made, and how another takes its place."""

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from shared.contract.token import ACCESS_TOKEN, ADMIN_KEY, CLIENT_SECRET, Prefix, digest, hint, mint, random_base62

HolderKind = Literal["token", "admin_key", "service"]

DEFAULT_OVERLAP_S: Final = 3600
MAX_OVERLAP_S: Final = 30 * 86_400
MAX_LIVE: Final = 5
"""Secrets of one holder that work at once."""

_PREFIXES: Final[dict[HolderKind, Prefix]] = {"token": ACCESS_TOKEN, "admin_key": ADMIN_KEY, "service": CLIENT_SECRET}


class Secret(Struct, frozen=True, kw_only=True):
    """What is kept of a secret. Without `ends_at` it works as long as its holder does; one that is `ended` does not,
    whatever any clock says.

    `ends_on_use`: it ends when the one that has taken its place is used first. `late_uses` counts what it was presented
    for after its end.
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
        """Whether it has not ended."""
        return not self.ended and (self.ends_at is None or self.ends_at > now)


class MintedSecret(Struct, frozen=True):
    """A secret, this once as it is presented."""

    secret: Secret
    text: str


class Rotation(Struct, frozen=True):
    """How a new secret takes the place of those before: they work for `overlap_s` more seconds, 0 for none.

    With `end_on_use` they end earlier, when the new one is used first. `key` is the caller's Idempotency-Key.
    """

    overlap_s: int = DEFAULT_OVERLAP_S
    end_on_use: bool = False
    key: str | None = None

    @property
    def key_digest(self) -> bytes | None:
        """What is kept of the key."""
        return None if self.key is None else hashlib.sha256(self.key.encode()).digest()

    @property
    def request_digest(self) -> bytes | None:
        """What is kept of the rest, to tell a repetition from another request under the same key."""
        if self.key is None:
            return None
        return hashlib.sha256(f"{self.overlap_s} {self.end_on_use}".encode()).digest()

    def end_of_old(self, now: datetime) -> datetime:
        """When the secrets before end: at a whole second, as introspection says it."""
        if self.overlap_s == 0:
            return now
        return now.replace(microsecond=0) + timedelta(seconds=self.overlap_s + 1)


def rotation(overlap_s: int, *, end_on_use: bool, key: str | None) -> Rotation:
    """Check a rotation. Raises `InvalidValue`."""
    if not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise InvalidValue(("overlap_s",), f"0 to {MAX_OVERLAP_S} seconds (30 days)")
    if end_on_use and overlap_s == 0:
        raise InvalidValue(("end_on_use",), "with an overlap of 0 the old secret ends at once; give an overlap")
    return Rotation(overlap_s, end_on_use, key)


def mint_secret(holder_kind: HolderKind, holder_id: str, now: datetime) -> MintedSecret:
    """A new secret for a holder."""
    text = mint(_PREFIXES[holder_kind])
    return MintedSecret(secret_from(text, holder_id, now), text)


def secret_from(text: str, holder_id: str, now: datetime) -> Secret:
    """What is kept of a secret that has been made."""
    return Secret(
        id=f"sec_{random_base62(16)}",
        holder_id=holder_id,
        digest=digest(text),
        hint=hint(text),
        created_at=now,
    )
