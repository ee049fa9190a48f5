"""A service that counts sheep, by requests of every sort that is hard to read right: odd paths, conditions, patches."""

from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from shared.runtime.http.application import new_application
from shared.runtime.http.body import read_json
from shared.runtime.http.idempotency import idempotency_key
from shared.runtime.http.json_response import json_response
from shared.runtime.http.merge_patch import merge
from shared.runtime.http.path import path_text, path_uuid
from shared.runtime.http.preconditions import if_match, not_modified
from tests.support.sheep import FLOCKS, Flock, create_flock, whistle

BATCH_BYTES: Final = 1024 * 1024


class Count(Struct, frozen=True):
    """How many somebody has seen; whatever else they say is passed over."""

    sheep: int
    weight: float = 0.0
    years: list[int] = []


def sheep_requests_app() -> web.Application:
    """The service, with one flock."""
    app = new_application({}, redact=lambda text: text, body_limits={"/flocks:batch": BATCH_BYTES})
    app[FLOCKS] = {"dolly": Flock(name="dolly", sheep=3)}
    app.router.add_post("/flocks", create_flock)
    app.router.add_get("/flocks/{name}", show_flock, allow_head=False)
    app.router.add_patch("/flocks/{name}", change_flock)
    app.router.add_post("/flocks:batch", form_flocks)
    app.router.add_post("/counts", note_count)
    app.router.add_post("/whistle", whistle)
    app.router.add_get("/fields/{field:[^/]+}/sheep/{sheep_id:[^/]+}", show_sheep, allow_head=False)
    return app


async def show_flock(request: web.Request) -> web.Response:
    flock = _flock(request)
    if not_modified(request, _etag(flock)):
        return web.Response(status=304, headers={"ETag": _etag(flock)})
    return json_response(flock, headers={"ETag": _etag(flock)})


async def change_flock(request: web.Request) -> web.Response:
    flock, condition = _flock(request), if_match(request)
    if condition and not condition.allows(_etag(flock)):
        raise web.HTTPPreconditionFailed
    merged = merge(msgspec.to_builtins(flock), read_json(await request.read(), dict[str, Any]))
    changed = request.app[FLOCKS][flock.name] = read_json(msgspec.json.encode(merged), Flock)
    return json_response(changed, headers={"ETag": _etag(changed)})


async def form_flocks(request: web.Request) -> web.Response:
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
