"""A third service mounts the guard in three lines, as the README shows."""

from collections.abc import Callable

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from shared.contract.scope import Action, Place
from shared.guard import GuardSettings, TokenMissing, UnguardedRoute, any_token, caller, mount_guard, token_with
from shared.guard.problems import GUARD_PROBLEM_TYPES
from shared.runtime.docs import Documentation, add_docs
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.metrics import add_metrics
from shared.runtime.http.problem import Problem, ProblemTable
from shared.runtime.http.problem_types import RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.http.query import query_of, read_query
from shared.runtime.http.routes import Access, Route, add_routes
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, Authority

INFO = {"title": "Reports", "version": "1"}
WHO = ProblemType("who", 403, "Forbidden", meaning="Nobody says who asks.", remedy="Say it.")
YEARLY_PROBLEMS: ProblemTable = {TokenMissing: lambda _: Problem(WHO, "Say who you are.")}
Client = TestClient[web.Request, web.Application]


async def report(request: web.Request) -> web.Response:
    caller(request).require(Action.READ, Place(request.match_info["workspace"], "any"))
    return web.Response(text=f"a report for {caller(request).site}")


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {caller(request).token_id}")


class Which(msgspec.Struct, frozen=True):
    """Reports of one year."""

    year: int


async def yearly(request: web.Request) -> web.Response:
    return web.Response(text=f"{read_query(request, Which).year} of {sorted(query_of(request).values)}")


@pytest.fixture
def settings(authority: Authority, redis_url: str) -> GuardSettings:
    return GuardSettings(
        token_authority_url=authority.base,
        introspection_client_id="polls",
        introspection_client_secret=CLIENT_SECRET,
        redis_url=redis_url,
        resource_url="http://reports.internal",
    )


@pytest.fixture
async def client(settings: GuardSettings, aiohttp_client: AiohttpClient) -> Client:
    """A guarded service with its pages. One route reports errors in its own way, one forgets to check a scope.

    What is asked for last is torn down first: the service, before the authority that its guard speaks with.
    """
    app = web.Application()
    asks_for_reading = token_with(Action.READ)
    add_routes(
        app,
        [
            Route("GET", "/reports/{workspace}", Endpoint(report), asks_for_reading),
            Route("GET", "/hello", Endpoint(hello), any_token()),
            Route("GET", "/yearly/{workspace}", Endpoint(yearly), any_token(), problem_table=YEARLY_PROBLEMS),
            Route("GET", "/forgetful", Endpoint(hello), asks_for_reading),
        ],
    )
    mount_guard(app, settings)
    add_docs(app, Documentation(INFO, [], {}, [*RUNTIME_PROBLEM_TYPES, *GUARD_PROBLEM_TYPES]))
    add_metrics(app)
    return await aiohttp_client(app)


async def test_a_service_that_knows_nothing_of_polls_is_guarded(client: Client, authority: Authority) -> None:
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


async def test_a_use_counts_where_a_handler_asks_for_no_scope_too_and_once(
    client: Client, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    for path, status in (("/hello", 200), ("/reports/PLAT", 200), ("/reports/OTHER", 403)):
        assert (await client.get(path, headers=bearer)).status == status

    await client.close()

    rows = await fetch(database.admin_url, "SELECT token_id, uses FROM token_authority.token_use")
    assert [tuple(row) for row in rows] == [(issued["id"], 2)]


async def test_a_route_may_tell_a_guards_error_in_its_own_way(client: Client) -> None:
    own, elsewhere = await client.get("/yearly/PLAT?year=2026"), await client.get("/reports/PLAT")
    wrong = await client.get("/yearly/PLAT?token=x")

    assert (own.status, (await own.json())["detail"]) == (403, "Say who you are.")
    assert (elsewhere.status, wrong.status) == (401, 401)


async def test_a_handler_that_reads_its_query_strictly_sees_no_token_in_it(
    client: Client, authority: Authority
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]

    answer = await client.get(f"/yearly/PLAT?token={token}&year=2026")

    assert (answer.status, await answer.text()) == (200, "2026 of ['year']")


async def test_everyone_may_read_what_its_refusals_point_at(client: Client) -> None:
    refusal = await (await client.get("/hello")).json(content_type="application/problem+json")

    pages = [await client.get(path) for path in (refusal["type"], "/docs", "/docs/problems", "/openapi.json")]

    assert [page.status for page in pages] == [200, 200, 200, 200]
    assert (await client.get("/docs/secret")).status == 404


async def test_its_metrics_say_what_the_guard_does(client: Client) -> None:
    assert "pollgate_guard_lease_held" in await (await client.get("/metrics")).text()


async def test_success_of_a_handler_that_asked_for_no_action_of_its_route_is_refused_with_500(
    client: Client, authority: Authority
) -> None:
    token = (await authority.issue("polls:read:PLAT"))["token"]

    answer = await client.get("/forgetful", headers={"Authorization": f"Bearer {token}"})

    assert answer.status == 500
    assert "hello" not in await answer.text()


@pytest.mark.parametrize(
    "mount",
    [
        lambda app: app.router.add_get("/reports", hello, allow_head=False),
        lambda app: add_routes(app, [Route("GET", "/reports", Endpoint(hello), Access(lambda handler: handler))]),
    ],
    ids=["outside the table", "with an access rule that takes no token"],
)
async def test_application_with_a_route_without_an_access_rule_of_the_guard_does_not_start(
    mount: Callable[[web.Application], object], settings: GuardSettings
) -> None:
    app = web.Application()
    mount_guard(app, settings)
    mount(app)

    with pytest.raises(UnguardedRoute, match="GET /reports: mount each route by add_routes"):
        await web.AppRunner(app).setup()
