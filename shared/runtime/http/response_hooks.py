"""Change the headers of every response just before they are sent, those of streams and of errors too."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

ResponseHook = Callable[[web.Request, web.StreamResponse], None]
"""May change the headers of the response. If it raises, nothing is sent."""

_HOOKS: Final = web.AppKey("response_hooks", list[ResponseHook])


def add_response_hook(app: web.Application, hook: ResponseHook) -> None:
    """Call `hook` after the hooks that were added before.

    aiohttp's own signal takes coroutines, and awaits each. Here all hooks of an application are one of them.
    """
    if _HOOKS not in app:
        hooks = app[_HOOKS] = []

        async def run_hooks(request: web.Request, response: web.StreamResponse) -> None:
            for each in hooks:
                each(request, response)

        app.on_response_prepare.append(run_hooks)
    app[_HOOKS].append(hook)
