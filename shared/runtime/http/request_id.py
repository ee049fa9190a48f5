"""Determine the id of a request in logs and responses: the caller's `X-Request-ID`, or a new one."""

import re
import secrets
from typing import Final

from aiohttp import web

from shared.runtime.process.redaction import Redact

REQUEST_ID: Final = web.RequestKey("request_id", str)

_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


def request_id_of(request: web.Request, redact: Redact) -> str:
    """Return the caller's id if it is short, plain and no secret, else a new one."""
    sent = request.headers.get("X-Request-ID", "")
    if _ACCEPTED.fullmatch(sent) and redact(sent) == sent:
        return sent
    return new_request_id()


def new_request_id() -> str:
    """Return a new random id."""
    return secrets.token_hex(8)
