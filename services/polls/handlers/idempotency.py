"""Read the `Idempotency-Key` of a request, and send a stored response."""

import hashlib

from aiohttp import web

from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from shared.guard import caller
from shared.runtime.http.idempotency import idempotency_key
from shared.runtime.http.json_response import json_bytes


def read_key(request: web.Request, body: bytes) -> IdempotencyKey | None:
    """Return the key of the request, or `None` if it has none. Raise `BadRequest` if the header is malformed."""
    key = idempotency_key(request)
    if key is None:
        return None
    content = f"{request.method} {request.path}\n".encode() + body
    return IdempotencyKey(caller(request).token_id, key, hashlib.sha256(content).digest())


def to_response(stored: StoredResponse) -> web.Response:
    """Return the stored response as it was."""
    return json_bytes(stored.body, status=stored.status, headers=stored.headers)
