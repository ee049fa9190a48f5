"""Respond to OPTIONS, and list all methods of a path in `Allow`."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler


@web.middleware
async def answer_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to OPTIONS with 204 and the methods of the path (RFC 9110 §9.3.7), without a credential."""
    refusal = request.match_info.http_exception
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted({*refusal.allowed_methods, hdrs.METH_OPTIONS}))
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={hdrs.ALLOW: allow})
        refusal.headers[hdrs.ALLOW] = allow
    return await handler(request)
