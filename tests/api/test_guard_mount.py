"""Another service mounts the guard: access rules, problems, counters and pages."""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from aiohttp.typedefs import Handler
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from shared.contract.scope import Action, Place
from shared.guard import (
    GuardSettings,
    InsufficientScope,
    TokenMissing,
    UnguardedRoute,
    any_token,
    caller,
    mount_guard,
    token_with,
)
from shared.guard.problems import GUARD_PROBLEM_TYPES
from shared.runtime.docs import Documentation, add_docs
from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.metrics import add_metrics
from shared.runtime.http.problem import Problem, ProblemTable
from shared.runtime.http.problem_types import RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.http.query import query_of, read_query
from shared.runtime.http.routes import Access, Route, add_routes
from shared.runtime.process.environment import RotatableText
from shared.runtime.process.serve import CannotStart, listen
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, Authority

INFO = {"title": "Reports", "version": "1"}
OWN_TYPE = ProblemType("own-type", 403, "Forbidden", meaning="The request has no token.", remedy="Send a token.")
YEARLY_PROBLEMS: ProblemTable = {TokenMissing: lambda _: Problem(OWN_TYPE, "Send a token for the year.")}
CHALLENGE = (
    'Bearer realm="http://reports.internal", '
    'resource_metadata="http://reports.internal/.well-known/oauth-protected-resource"'
)
Client = TestClient[web.Request, web.Application]


async def report(request: web.Request) -> web.Response:
    caller(request).require(Action.READ, Place(request.match_info["workspace"], "any"))
    return web.Response(text=f"a report for {caller(request).site}")


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {caller(request).token_id}")


class YearQuery(msgspec.Struct, frozen=True):
    """The year of the reports."""

    year: int


async def yearly(request: web.Request) -> web.Response:
    return web.Response(text=f"{read_query(request, YearQuery).year} of {sorted(query_of(request).values)}")


SECRET_CONTENT = "not for this token"


async def return_content(_request: web.Request) -> web.Response:
    return web.Response(text=SECRET_CONTENT)


async def raise_content(_request: web.Request) -> web.Response:
    raise web.HTTPOk(text=SECRET_CONTENT)


async def redirect(_request: web.Request) -> web.Response:
    raise web.HTTPFound(f"/{SECRET_CONTENT}")


async def stream_content(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(SECRET_CONTENT.encode())
    return response


async def send_content(request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.send_str(SECRET_CONTENT)
    return response


async def ignore_refusal(request: web.Request) -> web.Response:
    with suppress(InsufficientScope):
        caller(request).require(Action.READ, Place("OTHER", "any"))
    return web.Response(text=SECRET_CONTENT)


FORGETFUL: dict[str, Handler] = {
    "returned": return_content,
    "raised": raise_content,
    "redirect": redirect,
    "stream": stream_content,
    "websocket": send_content,
    "ignored-refusal": ignore_refusal,
}
"""Handlers that respond with a success without a granted action of their route."""


@pytest.fixture
def settings(authority: Authority, redis_url: str) -> GuardSettings:
    return GuardSettings(
        token_authority_url=authority.base,
        introspection_client_id="polls",
        introspection_client_secret=CLIENT_SECRET,
        redis_url=RotatableText(redis_url),
        resource_url="http://reports.internal",
    )


@pytest.fixture
async def client(settings: GuardSettings, aiohttp_client: AiohttpClient) -> Client:
    """Run a guarded service with documentation. One route has its own problem table, one does not check a scope.

    pytest tears fixtures down in reverse order: the service before the authority that its guard calls.
    """
    app = web.Application()
    needs_read = token_with(Action.READ)
    add_routes(
        app,
        [
            Route("GET", "/reports/{workspace}", Endpoint(report), needs_read),
            Route("GET", "/hello", Endpoint(hello), any_token()),
            Route("GET", "/yearly/{workspace}", Endpoint(yearly), any_token(), problem_table=YEARLY_PROBLEMS),
            *(Route("GET", f"/forgetful/{name}", Endpoint(handler), needs_read) for name, handler in FORGETFUL.items()),
        ],
    )
    mount_guard(app, settings)
    add_docs(
        app, Documentation(INFO, [], {}, [*RUNTIME_PROBLEM_TYPES, *GUARD_PROBLEM_TYPES]), "http://reports.internal"
    )
    add_metrics(app)
    return await aiohttp_client(app)


async def test_guarded_route_returns_200_400_401_and_403_by_token(client: Client, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT")
    bearer = {"Authorization": f"Bearer {issued['token']}"}

    good = await client.get("/reports/PLAT", headers=bearer)
    without = await client.get("/reports/PLAT")
    beyond = await client.get("/reports/OTHER", headers=bearer)
    twice = await client.get("/reports/PLAT?token=x", headers=bearer)
    unreadable = await client.get(URL("/reports/PLAT?token=%ff", encoded=True))

    assert (good.status, await good.text()) == (200, f"a report for {issued['site']}")
    assert (without.status, without.headers["WWW-Authenticate"]) == (401, CHALLENGE)
    assert (beyond.status, beyond.headers["WWW-Authenticate"]) == (
        403,
        f'{CHALLENGE}, error="insufficient_scope", scope="polls:read:OTHER/any"',
    )
    assert (twice.status, unreadable.status) == (400, 400)
    assert (await unreadable.json())["detail"] == "The query is not percent-encoded UTF-8."


async def test_request_counts_one_use_with_and_without_scope_check_and_none_if_403(
    client: Client, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    for path, status in (("/hello", 200), ("/reports/PLAT", 200), ("/reports/OTHER", 403)):
        assert (await client.get(path, headers=bearer)).status == status

    await client.close()

    rows = await fetch(database.admin_url, "SELECT token_id, uses FROM token_authority.token_use")
    assert [tuple(row) for row in rows] == [(issued["id"], 2)]


async def test_problem_table_of_route_replaces_problem_of_guard_on_that_route_only(client: Client) -> None:
    own, elsewhere = await client.get("/yearly/PLAT?year=2026"), await client.get("/reports/PLAT")
    wrong = await client.get("/yearly/PLAT?token=x")

    assert (own.status, (await own.json())["detail"]) == (403, "Send a token for the year.")
    assert (elsewhere.status, wrong.status) == (401, 401)


async def test_handler_that_reads_query_strictly_returns_200_with_token_in_url(
    client: Client, authority: Authority
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]

    answer = await client.get(f"/yearly/PLAT?token={token}&year=2026")

    assert (answer.status, await answer.text()) == (200, "2026 of ['year']")


async def test_response_to_token_in_url_is_private(client: Client, authority: Authority) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]

    in_query = [await client.get(f"/reports/{place}?access_token={token}") for place in ("PLAT", "OTHER")]
    in_header = await client.get("/reports/PLAT", headers={"Authorization": f"Bearer {token}"})

    assert [answer.status for answer in in_query] == [200, 403]
    assert [answer.headers["Cache-Control"] for answer in in_query] == ["private, no-store"] * 2
    assert "Cache-Control" not in in_header.headers


async def test_pages_that_problems_link_to_return_200_without_token(client: Client) -> None:
    refusal = await (await client.get("/hello")).json(content_type="application/problem+json")

    pages = [await client.get(path) for path in (refusal["type"], "/docs", "/docs/problems", "/openapi.json")]

    assert [page.status for page in pages] == [200, 200, 200, 200]
    assert (await client.get("/docs/secret")).status == 404


async def test_metrics_contain_guard_lease(client: Client) -> None:
    assert "pollgate_guard_lease_held" in await (await client.get("/metrics")).text()


@pytest.mark.parametrize("name", ["returned", "raised", "redirect", "ignored-refusal"])
async def test_success_of_handler_without_scope_check_returns_500(
    client: Client, authority: Authority, name: str
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]

    answer = await client.get(f"/forgetful/{name}", headers={"Authorization": f"Bearer {token}"}, allow_redirects=False)

    assert answer.status == 500
    assert SECRET_CONTENT not in await answer.text()
    assert "Location" not in answer.headers


async def test_stream_without_scope_check_sends_nothing(client: Client, authority: Authority) -> None:
    headers = {"Authorization": f"Bearer {(await authority.issue('polls:read:PLAT'))['token']}"}

    with pytest.raises(aiohttp.ClientError):
        await client.get("/forgetful/stream", headers=headers)
    with pytest.raises(aiohttp.ClientError):
        await client.ws_connect("/forgetful/websocket", headers=headers)


def add_on_startup(app: web.Application) -> None:
    async def add_route(starting: web.Application) -> None:
        starting.router.add_get("/late", return_content)

    app.on_startup.append(add_route)


def add_by_cleanup_context(app: web.Application) -> None:
    async def add_route(starting: web.Application) -> AsyncGenerator[None, None]:
        starting.router.add_get("/late", return_content)
        yield

    app.cleanup_ctx.append(add_route)


@pytest.mark.parametrize("add_late", [add_on_startup, add_by_cleanup_context])
async def test_route_that_is_added_after_the_check_of_access_rules_returns_500(
    add_late: Callable[[web.Application], None], settings: GuardSettings, aiohttp_client: AiohttpClient
) -> None:
    app = web.Application()
    mount_guard(app, settings)
    add_late(app)
    client = await aiohttp_client(app)

    answer, unknown = await client.get("/late"), await client.get("/unknown")

    assert (answer.status, unknown.status) == (500, 404)
    assert SECRET_CONTENT not in await answer.text()


@pytest.mark.parametrize("add_late", [add_on_startup, add_by_cleanup_context])
async def test_service_with_a_route_that_is_added_after_the_check_does_not_start(
    add_late: Callable[[web.Application], None], settings: GuardSettings
) -> None:
    app = create_application({}, redact=lambda text: text)
    mount_guard(app, settings)
    add_late(app)

    with pytest.raises(CannotStart, match="GET /late"):
        async with listen(app, "127.0.0.1", 0):
            pass


async def test_method_that_is_added_after_the_start_returns_500(
    settings: GuardSettings, aiohttp_client: AiohttpClient
) -> None:
    app = web.Application()
    add_routes(app, [Route("GET", "/hello", Endpoint(hello), any_token())])
    mount_guard(app, settings)
    client = await aiohttp_client(app)
    (resource,) = [each for each in app.router.resources() if each.canonical == "/hello"]
    assert isinstance(resource, web.Resource)
    resource.add_route("POST", return_content)

    answer = await client.post("/hello")

    assert answer.status == 500
    assert SECRET_CONTENT not in await answer.text()


@pytest.mark.parametrize(
    "mount",
    [
        lambda app: app.router.add_get("/reports", hello, allow_head=False),
        lambda app: add_routes(app, [Route("GET", "/reports", Endpoint(hello), Access(lambda handler: handler))]),
    ],
    ids=["outside the table", "with an access rule that takes no token"],
)
async def test_application_with_unguarded_route_does_not_start(
    mount: Callable[[web.Application], object], settings: GuardSettings
) -> None:
    app = web.Application()
    mount_guard(app, settings)
    mount(app)

    with pytest.raises(UnguardedRoute, match="GET /reports: mount each route by add_routes"):
        await web.AppRunner(app).setup()
