"""A service whose guard authenticates with a private key instead of a secret."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from shared.guard import AUTHORITY, FOLLOWER, GuardSettings, GuardUnavailable, any_token, caller, mount_guard
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import Route, add_routes
from shared.runtime.process.environment import RotatableText
from tests.support.client_keys import KEY_KINDS, ClientKey, Kind, create_service_with_key
from tests.support.stack import Authority

Client = TestClient[web.Request, web.Application]


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {caller(request).token_id}")


async def guarded(authority: Authority, redis_url: str, key: ClientKey, aiohttp_client: AiohttpClient) -> Client:
    app = web.Application()
    add_routes(app, [Route("GET", "/hello", Endpoint(hello), any_token())])
    settings = GuardSettings(
        token_authority_url=authority.base,
        introspection_client_id="reports",
        introspection_private_key=key.private_pem,
        redis_url=RotatableText(redis_url),
        resource_url="http://reports.internal",
    )
    mount_guard(app, settings)
    return await aiohttp_client(app)


@pytest.fixture
def key(kind: Kind) -> ClientKey:
    return ClientKey(kind)


@pytest.fixture
async def client(authority: Authority, redis_url: str, key: ClientKey, aiohttp_client: AiohttpClient) -> Client:
    """Run a service that authenticates with its key, and wait until its guard has a lease.

    pytest tears fixtures down in reverse order: the service before the authority that its guard calls.
    """
    await create_service_with_key(authority, key)
    made = await guarded(authority, redis_url, key, aiohttp_client)
    async with asyncio.timeout(10):
        while made.app[FOLLOWER].lease_s is None:
            await asyncio.sleep(0.02)
    return made


@pytest.mark.parametrize("kind", KEY_KINDS)
async def test_revoked_token_returns_401_at_service_with_private_key(client: Client, authority: Authority) -> None:
    issued = await authority.issue()
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    statuses = [(await client.get("/hello", headers=bearer)).status for _ in range(3)]

    revoked = await authority.revoke(issued["id"])

    assert statuses == [200, 200, 200]
    assert revoked["guards"] == {"confirmed": 1, "expired": 0}
    assert (await client.get("/hello", headers=bearer)).status == 401


async def test_private_key_unknown_to_authority_returns_503_and_error_names_the_variables(
    authority: Authority, redis_url: str, aiohttp_client: AiohttpClient
) -> None:
    await create_service_with_key(authority, ClientKey())
    client = await guarded(authority, redis_url, ClientKey(), aiohttp_client)
    token = (await authority.issue())["token"]

    answer = await client.get("/hello", headers={"Authorization": f"Bearer {token}"})

    assert answer.status == 503
    with pytest.raises(GuardUnavailable, match="refuses INTROSPECTION_CLIENT_ID and INTROSPECTION_PRIVATE_KEY"):
        await client.app[AUTHORITY].introspect(token)
