"""An authority with introspection responses of the test, and a service with a guard that calls it."""

import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from shared.contract.introspection import AUDIENCE, Active, Inactive
from shared.contract.scope import Action, Place
from shared.contract.sync import SyncAnswer, SyncRequest, TokenUse
from shared.contract.token import mint
from shared.guard import GuardSettings, any_token, caller, mount_guard, token_with
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.metrics import add_metrics
from shared.runtime.http.routes import Route, add_routes
from shared.runtime.process.environment import RotatableText
from shared.runtime.process.serve import listen
from tests.support.stack import HOST, Caller


class FakeAuthority:
    """An authority with made-up tokens at `url`. `usage` is what guards have reported."""

    def __init__(self) -> None:
        self.url = ""
        self.usage: list[TokenUse] = []
        self._answers: dict[str, Any] = {}

    def issue(self, token_id: str | None = None, **properties: Any) -> str:
        """Return a new token, or another secret of `token_id`. It may read everything unless `properties` differ."""
        token = mint("pgt")
        active = Active(
            active=True,
            scope="polls:read:*",
            client_id=token_id or f"tok_{secrets.token_hex(8)}",
            token_type="Bearer",
            iat=0,
            iss=self.url,
            aud=AUDIENCE,
            jti=f"sec_{secrets.token_hex(8)}",
            site="site_1",
            endpoint_id="endpoint",
            as_of=0,
        )
        self._answers[token] = {**msgspec.to_builtins(active), **properties}
        return token

    def ids_of(self, token: str) -> tuple[str, str]:
        """Return the ids of the token and of this secret."""
        return self._answers[token]["client_id"], self._answers[token]["jti"]

    def count_reported_uses(self, token: str) -> tuple[int, int]:
        """Return how many uses and refusals of this secret guards have reported."""
        counted: Counter[str] = Counter()
        for use in self.usage:
            if (use.token_id, use.secret_id) == self.ids_of(token):
                counted.update(uses=use.uses, refusals=use.refusals)
        return counted["uses"], counted["refusals"]

    def create_app(self) -> web.Application:
        """Return an application with the routes that a guard calls."""
        app = web.Application()
        app.router.add_post("/oauth2/introspect", self._introspect)
        app.router.add_post("/v1/guards/{guard}/sync", self._sync)
        app.router.add_delete("/v1/guards/{guard}", _release)
        app.router.add_get("/.well-known/jwks.json", _keys)
        return app

    async def _introspect(self, request: web.Request) -> web.Response:
        token = str((await request.post())["token"])
        return web.Response(body=msgspec.json.encode(self._answers.get(token, Inactive())))

    async def _sync(self, request: web.Request) -> web.Response:
        sync = msgspec.json.decode(await request.read(), type=SyncRequest)
        self.usage += sync.usage
        resync = sync.applied is None
        answer = SyncAnswer(head=0, lease_ms=5000, resync=resync, afresh=resync, changes=[], issuer=self.url)
        return web.Response(body=msgspec.json.encode(answer))


async def _release(_request: web.Request) -> web.Response:
    return web.Response(status=204)


async def _keys(_request: web.Request) -> web.Response:
    return web.json_response({"keys": []})


@asynccontextmanager
async def run_fake_authority() -> AsyncGenerator[FakeAuthority, None]:
    """Run an authority during the block."""
    authority = FakeAuthority()
    async with listen(authority.create_app(), HOST, 0) as port:
        authority.url = f"http://{HOST}:{port}"
        yield authority


@asynccontextmanager
async def run_guarded_service(
    authority: FakeAuthority, redis_url: str, **settings: Any
) -> AsyncGenerator["GuardedService", None]:
    """Run a service: `/hello` accepts every token, `/reports/{workspace}` needs a scope, `/missing` returns 404."""
    app = web.Application()
    add_routes(
        app,
        [
            Route("GET", "/hello", Endpoint(_hello), any_token()),
            Route("GET", "/reports/{workspace}", Endpoint(_report), token_with(Action.READ)),
            Route("GET", "/missing", Endpoint(_missing), any_token()),
        ],
    )
    add_metrics(app)
    mount_guard(
        app,
        GuardSettings(
            token_authority_url=authority.url,
            introspection_client_id="polls",
            introspection_client_secret=mint("pgs"),
            redis_url=RotatableText(redis_url),
            resource_url="http://reports.internal",
            **settings,
        ),
    )
    async with listen(app, HOST, 0) as port, aiohttp.ClientSession() as session:
        yield GuardedService(session, f"http://{HOST}:{port}")


class GuardedService(Caller):
    """A client of the service."""

    async def get(self, token: str, path: str = "/hello", **headers: str) -> Any:
        """Call a path with the token in the header."""
        return await self("GET", path, headers={"Authorization": f"Bearer {token}", **headers})


async def _hello(request: web.Request) -> web.Response:
    metadata = caller(request).metadata
    with suppress(KeyError, TypeError):
        metadata["labels"]["env"] = "changed"
    return web.json_response({"token_id": caller(request).token_id, "env": metadata.get("labels", {}).get("env")})


async def _report(request: web.Request) -> web.Response:
    caller(request).require(Action.READ, Place(request.match_info["workspace"], "any"))
    return web.Response()


async def _missing(_request: web.Request) -> web.Response:
    raise web.HTTPNotFound
