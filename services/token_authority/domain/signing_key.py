"""Signing keys: when each signs, and until when it stays published to verify its signatures."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from msgspec import Struct

KEPT: Final = timedelta(hours=1)
"""How long a key stays published after it stopped signing."""
ROTATED_AFTER: Final = timedelta(days=30)

State = Literal["next", "signing", "retired"]


class SigningKey(Struct, frozen=True):
    """A key pair as it is stored, with the private half encrypted."""

    kid: str
    public_key: bytes
    nonce: bytes
    encrypted_private_key: bytes
    created_at: datetime
    signs_from: datetime


class PublishedKey(Struct, frozen=True):
    """A signing key and its state at a time.

    `age` is the time since the key began to sign, negative before then. `published_until` is `None` while there is no
    newer key.
    """

    key: SigningKey
    state: State
    age: timedelta
    published_until: datetime | None


class KeyRotation(NamedTuple):
    """The key that signs next; `created` is false if it was published before."""

    key: PublishedKey
    created: bool


def publish(keys: Iterable[SigningKey], now: datetime) -> list[PublishedKey]:
    """Return the keys in the order in which they sign. One of them signs now: the last that may, else the first."""
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
