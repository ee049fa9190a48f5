"""A third service mounts the guard in three lines, as the README shows."""

from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from shared.contract.scope import Action, Place
from shared.guard import GuardSettings, caller, mount_guard
from tests.support.stack import CLIENT_SECRET, Authority


async def report(request: web.Request) -> web.Response:
    caller(request).require(Action.READ, Place(request.match_info["workspace"], "any"))
    return web.Response(text=f"a report for {caller(request).site}")


async def test_a_service_that_knows_nothing_of_polls_is_guarded(
    aiohttp_client: AiohttpClient, authority: Authority, redis_url: str
) -> None:
    app = web.Application()
    app.router.add_get("/reports/{workspace}", report)
    mount_guard(
        app,
        GuardSettings(
            token_authority_url=authority.base,
            introspection_client_id="polls",
            introspection_client_secret=CLIENT_SECRET,
            redis_url=redis_url,
            resource_url="http://reports.internal",
        ),
    )
    client = await aiohttp_client(app)
    issued = await authority.issue("polls:read:PLAT")
    bearer = {"Authorization": f"Bearer {issued['token']}"}

    good = await client.get("/reports/PLAT", headers=bearer)
    without = await client.get("/reports/PLAT")
    beyond = await client.get("/reports/OTHER", headers=bearer)
    twice = await client.get("/reports/PLAT?token=x", headers=bearer)
    unreadable = await client.get(URL("/reports/PLAT?token=%ff", encoded=True))

    assert (good.status, await good.text()) == (200, f"a report for {issued['site']}")
    assert (without.status, without.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (beyond.status, beyond.headers["WWW-Authenticate"]) == (
        403,
        'Bearer error="insufficient_scope", scope="polls:read:OTHER/any"',
    )
    assert (twice.status, unreadable.status) == (400, 400)
    assert (await unreadable.json())["detail"] == "The query is not percent-encoded UTF-8."
