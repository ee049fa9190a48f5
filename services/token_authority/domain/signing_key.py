"""When each signing key signs, and until when what it has signed can be verified."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

KEPT: Final = timedelta(hours=1)
"""How long a key stays published after it has stopped signing."""
ROTATED_AFTER: Final = timedelta(days=30)

State = Literal["next", "signing", "retired"]


class SigningKey(Struct, frozen=True):
    """A key pair as it is kept; the private half is encrypted."""

    kid: str
    public_key: bytes
    nonce: bytes
    encrypted_private_key: bytes
    created_at: datetime
    signs_from: datetime


class PublishedKey(Struct, frozen=True):
    """A key among the others, as of some time.

    `age` counts from when it begins to sign, and is negative before. `published_until` is `None` as long as no key has
    been made to take its place.
    """

    key: SigningKey
    state: State
    age: timedelta
    published_until: datetime | None


def published(keys: Iterable[SigningKey], now: datetime) -> list[PublishedKey]:
    """The keys in the order in which they sign, one of them now: the last that may, or else the first of all."""
    ordered = sorted(keys, key=lambda key: (key.signs_from, key.kid))
    signing = max((place for place, key in enumerate(ordered) if key.signs_from <= now), default=0)
    ends = [key.signs_from + KEPT for key in ordered[1:]]
    return [
        PublishedKey(key, _state(place, signing), now - key.signs_from, until)
        for place, (key, until) in enumerate(zip(ordered, [*ends, None], strict=False))
    ]


def _state(place: int, signing: int) -> State:
    if place == signing:
        return "signing"
    return "retired" if place < signing else "next"
