"""A request with an `Idempotency-Key` and its stored response, which make it safe to repeat the request."""

from msgspec import Struct


class IdempotencyKey(Struct, frozen=True):
    """A key with the request that it stands for. Keys of different tokens are independent.

    `fingerprint` is a SHA-256 of method, path and body.
    """

    token_id: str
    key: str
    fingerprint: bytes


class StoredResponse(Struct, frozen=True):
    """A response, to be sent again as it was."""

    status: int
    headers: dict[str, str]
    body: bytes
