"""The key of a form, by which it is carried out once, however often it is sent."""

import hashlib
import re
import secrets
from typing import Final

import msgspec
from aiohttp import web

from services.polls.app_keys import FORM
from services.polls.domain.idempotency import IdempotencyKey
from shared.guard import caller
from shared.runtime.http.problem import BadRequest

FORM_KEY: Final = "form_key"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_KEY_BYTES: Final = 18


def new_form_key() -> str:
    """Return a random key for a form that is about to be shown."""
    return secrets.token_urlsafe(_KEY_BYTES)


def form_key_of(request: web.Request, content: msgspec.Struct) -> IdempotencyKey:
    """Return the key of the form of a request, whose fields are `content`. Raise `BadRequest` if it has none."""
    key = request[FORM].raw(FORM_KEY)
    if not _KEY.fullmatch(key):
        raise BadRequest("The form has no key, so nothing was created. Open it again and repeat it.")
    fields = f"{request.method} {request.path}\n".encode() + msgspec.json.encode(content)
    return IdempotencyKey(caller(request).token_id, key, hashlib.sha256(fields).digest())
