"""The id under which a request is found again in logs and answers: the caller's `X-Request-ID`, or one of ours."""

import re
import secrets
from typing import Final

from aiohttp import web

from shared.runtime.process.redaction import Redact

REQUEST_ID: Final = web.RequestKey("request_id", str)

_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


def request_id_of(request: web.Request, redact: Redact) -> str:
    """The caller's id where it is short, plain and no secret, else a new one."""
    given = request.headers.get("X-Request-ID", "")
    if _ACCEPTED.fullmatch(given) and redact(given) == given:
        return given
    return new_request_id()


def new_request_id() -> str:
    """One of ours."""
    return secrets.token_hex(8)
