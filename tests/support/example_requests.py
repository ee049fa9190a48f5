"""An example service for requests with unusual paths, preconditions and merge patches."""

from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from shared.runtime.http.application import create_application
from shared.runtime.http.body import read_json
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.idempotency import idempotency_key
from shared.runtime.http.json_response import json_response
from shared.runtime.http.merge_patch import merge
from shared.runtime.http.path import path_text, path_uuid
from shared.runtime.http.preconditions import if_match, is_not_modified
from shared.runtime.http.routes import PUBLIC, Route, add_routes
from tests.support.example_service import FLOCKS, Flock, create_flock, whistle

BATCH_BYTES: Final = 1024 * 1024


class Count(Struct, frozen=True):
    """A count of sheep. Unknown fields are ignored."""

    sheep: int
    weight: float = 0.0
    years: list[int] = []


def create_example_requests_app() -> web.Application:
    """Return the service, with one flock."""
    app = create_application({}, redact=lambda text: text)
    app[FLOCKS] = {"dolly": Flock(name="dolly", sheep=3)}
    add_routes(
        app,
        [
            Route("POST", "/flocks", Endpoint(create_flock), PUBLIC),
            Route("GET", "/flocks/{name}", Endpoint(show_flock), PUBLIC),
            Route("PATCH", "/flocks/{name}", Endpoint(change_flock), PUBLIC),
            Route("POST", "/flocks:batch", Endpoint(create_flocks), PUBLIC, body_limit=BATCH_BYTES),
            Route("POST", "/counts", Endpoint(note_count), PUBLIC),
            Route("POST", "/whistle", Endpoint(whistle), PUBLIC),
            Route("GET", "/fields/{field}/sheep/{sheep_id}", Endpoint(show_sheep), PUBLIC),
        ],
    )
    return app


async def show_flock(request: web.Request) -> web.Response:
    flock = _flock(request)
    if is_not_modified(request, _etag(flock)):
        return web.Response(status=304, headers={"ETag": _etag(flock)})
    return json_response(flock, headers={"ETag": _etag(flock)})


async def change_flock(request: web.Request) -> web.Response:
    flock, condition = _flock(request), if_match(request)
    if condition and not condition.allows(_etag(flock)):
        raise web.HTTPPreconditionFailed
    merged = merge(msgspec.to_builtins(flock), read_json(await request.read(), dict[str, Any]))
    changed = request.app[FLOCKS][flock.name] = read_json(msgspec.json.encode(merged), Flock)
    return json_response(changed, headers={"ETag": _etag(changed)})


async def create_flocks(request: web.Request) -> web.Response:
    flocks = read_json(await request.read(), list[Flock])
    return json_response({"formed": len(flocks)})


async def note_count(request: web.Request) -> web.Response:
    key = idempotency_key(request)
    return json_response({"key": key, "count": read_json(await request.read(), Count)})


async def show_sheep(request: web.Request) -> web.Response:
    sheep_id = path_uuid(request, "sheep_id")
    return json_response({"field": path_text(request, "field", max_length=10), "sheep_id": sheep_id})


def _flock(request: web.Request) -> Flock:
    return request.app[FLOCKS][request.match_info["name"]]


def _etag(flock: Flock) -> str:
    return f'"{flock.sheep}"'
