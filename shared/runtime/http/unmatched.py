"""Respond to requests that match no route, and to OPTIONS."""

from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

ANY_PATH = r"/{path:[\s\S]*}"
"""The path of a route that matches what no other route does."""


async def refuse_unmatched(request: web.Request) -> web.Response:
    """Respond to OPTIONS as `options_response` does. Raise `HTTPMethodNotAllowed` or `HTTPNotFound` for the others.

    The handler of a route for any method at `ANY_PATH`.
    """
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        allowed |= (await resource.resolve(request))[1]
    allowed.discard(hdrs.METH_ANY)  # of this route itself
    if not allowed:
        raise web.HTTPNotFound
    if request.method == hdrs.METH_OPTIONS:
        return options_response(allowed)
    refusal = web.HTTPMethodNotAllowed(request.method, allowed)
    refusal.headers[hdrs.ALLOW] = _list_methods(allowed)
    raise refusal


@web.middleware
async def answer_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to OPTIONS in an application that was not made by `create_application`."""
    refusal = request.match_info.http_exception
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        if request.method == hdrs.METH_OPTIONS:
            return options_response(refusal.allowed_methods)
        refusal.headers[hdrs.ALLOW] = _list_methods(refusal.allowed_methods)
    return await handler(request)


def options_response(allowed: Collection[str]) -> web.Response:
    """Return 204 with the methods of the path (RFC 9110 §9.3.7). It needs no credential."""
    return web.Response(status=204, headers={hdrs.ALLOW: _list_methods(allowed)})


def _list_methods(allowed: Collection[str]) -> str:
    return ", ".join(sorted({*allowed, hdrs.METH_OPTIONS}))
