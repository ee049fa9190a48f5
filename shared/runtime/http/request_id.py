"""Determine the id of a request in logs and responses: the caller's `X-Request-ID`, or a new one."""

import re
import secrets
from collections.abc import Iterator
from typing import Final

from aiohttp import web
from multidict import istr

from shared.runtime.process.redaction import Redact

X_REQUEST_ID: Final = istr("X-Request-ID")
REQUEST_ID: Final = web.RequestKey("request_id", str)

_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


def request_id_of(request: web.Request, redact: Redact) -> str:
    """Return the caller's id if it is short, plain and no secret, else a new one."""
    sent = request.headers.get(X_REQUEST_ID)
    if sent is not None and _ACCEPTED.fullmatch(sent) and redact(sent) == sent:
        return sent
    return new_request_id()


def new_request_id() -> str:
    """Return a new random id."""
    return next(_ids)


def _random_ids() -> Iterator[str]:
    """Yield ids of 16 hexadecimal digits. Many are drawn at once, because each drawing is a system call."""
    while True:
        digits = secrets.token_hex(8 * 256)
        yield from (digits[start : start + 16] for start in range(0, len(digits), 16))


_ids: Final = _random_ids()
