"""Respond to OPTIONS, and list all methods of a path in `Allow`."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

ANSWERS_OPTIONS: Final = web.AppKey("answers_options", bool)
"""Whether the application responds to OPTIONS already."""


def options_response(request: web.Request) -> web.Response | None:
    """Return 204 with the methods of the path (RFC 9110 §9.3.7) for OPTIONS. It needs no credential.

    For another method that the path does not have, complete the `Allow` of the refusal and return `None`.
    """
    refusal = request.match_info.http_exception
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted({*refusal.allowed_methods, hdrs.METH_OPTIONS}))
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={hdrs.ALLOW: allow})
        refusal.headers[hdrs.ALLOW] = allow
    return None


@web.middleware
async def answer_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to OPTIONS in an application that was not made by `create_application`."""
    return options_response(request) or await handler(request)
