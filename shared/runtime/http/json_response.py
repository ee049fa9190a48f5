"""Create a JSON response."""

from collections.abc import Mapping

import msgspec
from aiohttp import web


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with `value`, a Struct or a JSON-compatible value, as `application/json`."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers
    )
