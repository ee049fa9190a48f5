"""Read the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07)."""

import re
from typing import Final

from aiohttp import web

from shared.runtime.http.problem import BadRequest

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_CHARACTER: Final = r'[!#-\[\]-~]|\\["\\]'
IDEMPOTENCY_KEY_PATTERN: Final = rf'^("({_CHARACTER}){{1,255}}"|[!#-+\--~]{{1,255}})$'
"""The header's value: the key in quotes or, if it contains neither comma nor quote, bare."""


def idempotency_key(request: web.Request) -> str | None:
    """Return the key, without its quotes if it has them; `None` without the header. Raise `BadRequest`."""
    keys = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise BadRequest(
            f"Invalid {IDEMPOTENCY_KEY}: expected one header with 1 to 255 printable characters and no spaces, such as "
            f'{IDEMPOTENCY_KEY}: "8e03978e-40d5-43dd-bc93-6894a57f9324".'
        )
    key = keys[0]
    return _ESCAPED.sub(r"\1", key[1:-1]) if key.startswith('"') else key


_KEY: Final = re.compile(IDEMPOTENCY_KEY_PATTERN[1:-1])
_ESCAPED: Final = re.compile(r'\\(["\\])')
