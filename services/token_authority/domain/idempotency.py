"""The `Idempotency-Key` of a request, as it is stored: to recognise the same request, and another one under its key."""

import hashlib

from msgspec import Struct


class IdempotencyKey(Struct, frozen=True):
    """SHA-256 of the key and of the parameters of the request that came with it."""

    digest: bytes
    request_digest: bytes


def idempotency_key_of(key: str | None, *parameters: object) -> IdempotencyKey | None:
    """Return the stored form of `key` for a request with these parameters; `None` without a key."""
    if key is None:
        return None
    return IdempotencyKey(_sha256(key), _sha256(" ".join(map(str, parameters))))


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
