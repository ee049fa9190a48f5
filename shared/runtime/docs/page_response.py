"""The response with an HTML page or its stylesheet: it may load nothing from elsewhere, and run no script."""

from typing import Final

from aiohttp import web

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
}


def page_response(text: str, media_type: str = "text/html", *, status: int = 200) -> web.Response:
    """Return the response in UTF-8."""
    return web.Response(status=status, text=text, content_type=media_type, charset="utf-8", headers=_HEADERS)
