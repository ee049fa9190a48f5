"""Read the `Idempotency-Key` of a request for a new secret."""

from typing import Final

import msgspec
from aiohttp import web

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.idempotency import IdempotencyKey, idempotency_key_of
from shared.runtime.http.idempotency import idempotency_key

IN_USE: Final = "the secret that this Idempotency-Key created was used, was rotated or has ended"
"""The end of the description of a 409."""
REUSED: Final = {422: "The body breaks a rule, or the Idempotency-Key was used before with a different request."}


def key_of(request: web.Request, caller: Actor, body: msgspec.Struct) -> IdempotencyKey | None:
    """Return the key for a request with this body; `None` without the header. Raise `BadRequest`."""
    key = idempotency_key(request)
    if key is None:
        return None
    canonical = msgspec.json.encode(body, order="sorted")
    return idempotency_key_of(key, caller=caller.id or "", route=f"{request.method} {request.path}", body=canonical)
