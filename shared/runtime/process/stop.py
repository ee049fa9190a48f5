"""The end of a process: who asks for it, and what running requests and clients are given before it."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import Annotated, Final

import structlog
from aiohttp import web
from msgspec import Meta

from shared.runtime.http.response_hooks import add_response_hook
from shared.runtime.http.routes import ROUTE_WRAPPER

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set from the first signal on. `/readyz` is 503 then."""

ShutdownGrace = Annotated[
    float,
    Meta(
        ge=0,
        le=300,
        description="seconds after SIGTERM in which /readyz is 503 and requests are still served, so that a proxy can "
        "choose another replica; 0 for none",
    ),
]
"""The setting `SHUTDOWN_GRACE_S`."""
SHUTDOWN_GRACE_S: Final = 5.0
"""The default. The compose stack's proxy needs up to two seconds to notice, Kubernetes about as long."""

_log = structlog.get_logger()


class Stop:
    """Whether this process has to stop. Create one instance per process.

    SIGTERM allows `grace_s` seconds in which requests are still served. SIGINT, which a developer's Ctrl-C sends,
    allows none. After a second signal nothing is waited for.
    """

    def __init__(self, grace_s: float = 0.0) -> None:
        self.grace_s = grace_s
        self.requested = asyncio.Event()
        self.urgent = asyncio.Event()

    def request(self, *, with_grace: bool) -> None:
        """Stop; at once if this is the second request."""
        if self.requested.is_set():
            self.urgent.set()
            return
        self.grace_s = self.grace_s if with_grace else 0.0
        self.requested.set()

    def follow_signals(self, *, as_worker: bool) -> None:
        """Let SIGTERM and SIGINT request the stop.

        A worker may get the same signal twice, from a supervisor or terminal and from its parent. So a repetition has
        no effect there; the parent reports it by a line on the standard input, which it closes when it ends.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number == signal.SIGTERM, as_worker)
        if as_worker:
            loop.add_reader(sys.stdin.fileno(), self._read_parent)

    async def wait_urgent(self, limit_s: float) -> bool:
        """Wait for up to `limit_s` seconds. Return at once, with `True`, if nothing is to be waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.urgent.wait()
        return self.urgent.is_set()

    def _on_signal(self, with_grace: bool, as_worker: bool) -> None:
        if not (as_worker and self.requested.is_set()):
            self.request(with_grace=with_grace)

    def _read_parent(self) -> None:
        if os.read(sys.stdin.fileno(), 1):
            self.urgent.set()
        else:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._on_signal(with_grace=False, as_worker=True)


async def announce_stop(app: web.Application, stop: Stop) -> None:
    """Fail `/readyz`, and close the connection of each response from now on. Return after the grace period."""
    app[STOPPING].set()
    if ROUTE_WRAPPER in app:
        add_response_hook(app, _close_connection)
    if stop.grace_s:
        _log.info("stopping: not ready any more, still serving", grace_s=stop.grace_s)
        await stop.wait_urgent(stop.grace_s)


def _close_connection(_request: web.Request, response: web.StreamResponse) -> None:
    response.force_close()
