"""Create a JSON response."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import hdrs, web

from shared.runtime.http.whole_response import WholeResponse

_HEADERS: Final[dict[str, str]] = {hdrs.CONTENT_TYPE: "application/json"}


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with `value`, a Struct or a JSON-compatible value, as `application/json`."""
    return json_bytes(msgspec.json.encode(value), status=status, headers=headers)


def json_bytes(document: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> WholeResponse:
    """Return a response with an encoded document as `application/json`."""
    return WholeResponse(status=status, body=document, headers={**_HEADERS, **headers} if headers else _HEADERS)
