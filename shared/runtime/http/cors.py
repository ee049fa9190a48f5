"""Let pages of listed origins call a service from a browser (the CORS protocol of the Fetch standard).

Without origins, nothing is added to any response, so browsers keep pages of other origins from reading them.
"""

import re
from typing import Annotated, Final

from aiohttp import hdrs, web
from msgspec import Meta

from shared.runtime.http.response_hooks import add_response_hook
from shared.runtime.http.routes import ROUTE_WRAPPER
from shared.runtime.http.unmatched import answer_options
from shared.runtime.process.environment import SettingsError

CorsOrigins = Annotated[
    str,
    Meta(
        description="origins of the pages that may call this service from a browser, separated by spaces or commas, "
        "such as https://polls.example.com; empty for none"
    ),
]
"""The setting `CORS_ORIGINS`."""

MAX_AGE_S: Final = 600
"""For how long a browser may keep the answer to a preflight request."""
REQUEST_HEADERS: Final = (
    "Authorization",
    "Cache-Control",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Request-ID",
)
"""The headers that a page may send."""
EXPOSED_HEADERS: Final = (
    "Accept-Encoding",
    "Allow",
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Token-Validated-Age",
    "WWW-Authenticate",
    "X-Request-ID",
)
"""The headers of a response that a page may read, in addition to those that the Fetch standard always allows."""

_ORIGINS: Final = web.AppKey("cors_origins", frozenset[str])
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def read_origins(text: str, variable: str = "CORS_ORIGINS") -> frozenset[str]:
    """Return the origins in a setting. Raise `SettingsError` with its name if one is none."""
    origins = text.replace(",", " ").split()
    for origin in origins:
        if "*" in origin:
            raise SettingsError(f"{variable} is wrong: wildcards are not supported; list each origin")
        if origin == "null":
            raise SettingsError(f"{variable} is wrong: 'null' is the origin of any sandboxed page; list real origins")
        scheme, _, rest = origin.partition("://")
        has_default_port = rest.rpartition(":")[2] == _DEFAULT_PORTS.get(scheme)
        if not _ORIGIN.fullmatch(origin) or has_default_port:
            raise SettingsError(
                f"{variable} is wrong: write each origin as browsers send it, in lower case, without a path and "
                "without a default port, such as https://polls.example.com or http://127.0.0.1:3000"
            )
    return frozenset(origins)


def add_cors(app: web.Application, origins: frozenset[str]) -> None:
    """Add the headers of the CORS protocol to every response of the application, errors and streams included.

    Preflight requests are OPTIONS requests. They need no token, and do not count against its rate limit.
    """
    app[_ORIGINS] = origins
    if origins:
        if ROUTE_WRAPPER not in app:  # it was not made by `create_application`
            app.middlewares.append(answer_options)
        add_response_hook(app, _add_headers)


def has_listed_origin(request: web.Request) -> bool:
    """Return whether a page of a listed origin sent the request."""
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and origin in request.app.get(_ORIGINS, ())


def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    vary = response.headers.get(hdrs.VARY)
    response.headers[hdrs.VARY] = f"{vary}, {hdrs.ORIGIN}" if vary else hdrs.ORIGIN
    if not has_listed_origin(request):
        return
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
    if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = response.headers.get(hdrs.ALLOW, "")
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join(REQUEST_HEADERS)
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(MAX_AGE_S)
    else:
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = ", ".join(EXPOSED_HEADERS)
