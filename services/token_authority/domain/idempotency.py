"""The `Idempotency-Key` of a request, as it is stored: to recognise the same request, and another one under its key."""

import hashlib

from msgspec import Struct


class IdempotencyKey(Struct, frozen=True):
    """SHA-256 of the key with its caller and route, and of the body of the request.

    `may_repeat`: a repeated request gets another secret in place of the one whose response was lost. A form that is
    sent again must not: its response was shown.
    """

    digest: bytes
    request_digest: bytes
    may_repeat: bool = True


def idempotency_key_of(key: str, *, caller: str, route: str, body: bytes, may_repeat: bool = True) -> IdempotencyKey:
    """Return the stored form of `key`. Keys of different callers or routes are different keys.

    `body` is the body in canonical form, so that a request is the same however it was written.
    """
    return IdempotencyKey(_sha256(f"{caller} {route} {key}".encode()), _sha256(body), may_repeat)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
