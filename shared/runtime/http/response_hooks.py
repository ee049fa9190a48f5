"""Change the headers of every response just before they are sent, those of streams and of errors too."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from shared.runtime.http.routes import ROUTE_WRAPPER
from shared.runtime.http.whole_response import WholeResponse

ResponseHook = Callable[[web.Request, web.StreamResponse], None]
"""May change the headers of the response. If it raises, nothing is sent."""

STREAM_BEGAN: Final = web.RequestKey("stream_began", float)
"""When the headers of a stream were sent, by `time.perf_counter`."""

_HOOKS: Final = web.AppKey("response_hooks", list[ResponseHook])


def response_hooks(app: web.Application) -> list[ResponseHook]:
    """Return the hooks of the application, in the order in which they are called."""
    if _HOOKS not in app:
        app[_HOOKS] = []
    return app[_HOOKS]


def add_response_hook(app: web.Application, hook: ResponseHook) -> None:
    """Call `hook` after the hooks that were added before.

    An application made by `create_application` calls the hooks itself. In any other one, aiohttp's signal calls them,
    which takes longer.
    """
    hooks = response_hooks(app)
    if not hooks and ROUTE_WRAPPER not in app:

        async def call_hooks(request: web.Request, response: web.StreamResponse) -> None:
            for each in hooks:
                each(request, response)

        app.on_response_prepare.append(call_hooks)
    hooks.append(hook)


def finish_response(request: web.Request, response: web.StreamResponse, hooks: Sequence[ResponseHook]) -> None:
    """Call the hooks for a response that is about to be sent."""
    for hook in hooks:
        hook(request, response)
    if type(response) is WholeResponse:
        response.is_finished = True


async def start_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Send the headers of a stream. A handler must not call `response.prepare`, which knows nothing of the hooks."""
    if ROUTE_WRAPPER in request.app:
        finish_response(request, response, response_hooks(request.app))
        request[STREAM_BEGAN] = time.perf_counter()
    await response.prepare(request)
