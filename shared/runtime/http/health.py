"""Mount `/livez`, whether the process responds, and `/readyz`, whether its dependencies do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.operator_networks import PRIVATE_NETWORKS, is_from, read_networks
from shared.runtime.http.routes import PUBLIC, Excess, Route, add_routes
from shared.runtime.process.outage import Unavailable
from shared.runtime.process.stop import STOPPING

Check = Callable[[], Awaitable[None]]
"""Returns if the dependency works, else raises."""

CHECK_LIMIT_S: Final = 1.0
KEPT_S: Final = 0.5


def add_health(
    app: web.Application,
    required: Mapping[str, Check],
    reported: Mapping[str, Check],
    networks: str = PRIVATE_NETWORKS,
) -> None:
    """Mount both routes. `/readyz` is 503 if a `required` check fails; a failing `reported` check is only shown.

    While the process stops, it is 503 without a check, with the status `stopping`. Only the response to these networks
    says why a check has failed, because the reason has the address of another server.
    """
    checks, allowed = _Checks({**required, **reported}), read_networks(networks)

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        if STOPPING in request.app and request.app[STOPPING].is_set():
            return _show({"status": "stopping", "checks": {}}, status=503)
        results = await checks.results()
        ready = all(results[name] == "ok" for name in required)
        shown = results if is_from(request, allowed) else _without_reasons(results)
        document = {"status": "ready" if ready else "unready", "checks": shown}
        return _show(document, status=200 if ready else 503)

    add_routes(
        app,
        [
            Route(
                "GET",
                path,
                Endpoint(handler),
                PUBLIC,
                logs_success=False,
                is_traced=False,
                excess=Excess.WAIT_BRIEFLY,
            )
            for path, handler in {"/livez": livez, "/readyz": readyz}.items()
        ],
    )


def _without_reasons(results: Mapping[str, str]) -> dict[str, str]:
    return {name: result if result == "ok" else "failed" for name, result in results.items()}


def _show(document: Mapping[str, object], status: int) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")


class _Checks:
    """Runs the checks once for all concurrent requests and keeps the results for `KEPT_S`."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._started_at = float("-inf")
        self._run: asyncio.Task[dict[str, str]] | None = None

    async def results(self) -> dict[str, str]:
        """Return `ok` or the reason of failure by the name of the check."""
        now = asyncio.get_running_loop().time()
        if self._run is None or (self._run.done() and now - self._started_at >= KEPT_S):
            self._started_at, self._run = now, asyncio.create_task(self._run_checks())
        return await asyncio.shield(self._run)

    async def _run_checks(self) -> dict[str, str]:
        return dict(zip(self._checks, await asyncio.gather(*map(_run_check, self._checks.values())), strict=True))


async def _run_check(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), CHECK_LIMIT_S)
    except TimeoutError:
        return "no answer in time"
    except Unavailable as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - any error is the result of the check
        return type(error).__name__
    return "ok"
