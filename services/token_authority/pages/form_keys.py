"""Recognise a form for a new secret that is sent again, so that the secret is shown once and not replaced."""

import secrets
from typing import Final

import msgspec
from aiohttp import web

from services.token_authority.app_keys import FORM, SESSION
from services.token_authority.domain.idempotency import IdempotencyKey, idempotency_key_of
from shared.runtime.http.problem import BadRequest

FORM_KEY: Final = "form_key"
REPEATED: Final = "repeated"
"""The `done` of a page that a repeated form leads to."""
REPEATED_NOTICE: Final = (
    "This form was sent before, and the secret was shown once then. If it is lost, rotate: that creates another one."
)
_KEY_BYTES: Final = 18


def new_form_key() -> str:
    """Return a random key for a form that is about to be shown."""
    return secrets.token_urlsafe(_KEY_BYTES)


def form_key_of(request: web.Request, body: msgspec.Struct) -> IdempotencyKey:
    """Return the key of the form of a request, whose fields are `body`. Raise `BadRequest` if it has none.

    An operation with this key raises `RequestRepeated` if the form was sent before, also with other fields.
    """
    sent = request[FORM].raw(FORM_KEY)
    if not sent:
        raise BadRequest("The form has no key, so nothing was changed. Open it again and repeat it.")
    canonical = msgspec.json.encode(body, order="sorted")
    route = f"{request.method} {request.path}"
    caller = request[SESSION].actor_id
    return idempotency_key_of(sent, caller=caller, route=route, body=canonical, may_repeat=False)
