"""Invalid answers at the authority's address: a guard treats them as no answer."""

from collections.abc import AsyncGenerator

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from shared.contract.sync import SyncRequest
from shared.guard.authority import TokenAuthority, token_authority
from shared.guard.errors import GuardUnavailable
from shared.guard.keys import InvalidPush, KeyRing
from shared.guard.settings import GuardSettings
from shared.runtime.process.environment import RotatableText

SYNC = b'{"head": 1, "lease_ms": 5000, "resync": false, "changes": [%s], "issuer": "x"}'
CHANGE = b'{"seq": 1, "kind": "revoked", "token_id": "tok_1", "digest": "%s"}'
INVALID = {
    "empty": b"",
    "no JSON": b"<html>",
    "not UTF-8": b'{"active": true, "scope": "\xff", "keys": "\xff", "issuer": "\xff"}',
    "nested too deeply": b'{"x": ' + b"[" * 100_000,
    "a sync answer nested too deeply": SYNC % (b'{"x":' * 100_000),
    "a lease that is too long": SYNC.replace(b"5000", b"9" * 400) % b"",
    "a lease of 0 ms": SYNC.replace(b"5000", b"0") % b"",
    "no field for a reset": SYNC.replace(b'"resync": false, ', b"") % b"",
    "an invalid digest": SYNC % (CHANGE % b"zz"),
    "an active token without any other field": b'{"active": true}',
}


@pytest.fixture
async def authority(aiohttp_server: AiohttpServer, body: bytes) -> AsyncGenerator[TokenAuthority, None]:
    """Run a server that returns `body` for every request, and yield a client of it."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    server = await aiohttp_server(app)
    settings = GuardSettings(
        token_authority_url=str(server.make_url("")),
        introspection_client_id="polls",
        introspection_client_secret="s3cret",
        redis_url=RotatableText("redis://redis"),
        resource_url="http://here",
    )
    async with token_authority(settings) as opened:
        yield opened


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID)
async def test_invalid_answer_of_authority_raises_unavailable(authority: TokenAuthority) -> None:
    with pytest.raises(GuardUnavailable):
        await authority.sync("guard", SyncRequest(None))
    with pytest.raises(GuardUnavailable):
        await authority.introspect("pgt_x")
    ring = KeyRing(authority.signing_keys, lambda: 1000.0)
    await ring.refresh()
    with pytest.raises(InvalidPush):
        await ring.verify(b"x")
