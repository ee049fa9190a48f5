"""Errors become problems by the application's table, or by the table of their route."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.problem import Problem, ProblemTable
from shared.runtime.http.problem_types import ProblemType
from shared.runtime.http.routes import PUBLIC, Route, add_routes

Client = TestClient[web.Request, web.Application]

ASTRAY = ProblemType("astray", 404, "Astray", meaning="It is not here.", remedy="Call it.")


class Lost(Exception):
    """An animal is missing."""


TABLE: ProblemTable = {Lost: lambda _: Problem(ASTRAY, "It is somewhere else.")}
GOATS: ProblemTable = {Lost: lambda _: Problem(ASTRAY, "It has eaten the fence.", status=410)}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run a service whose routes all raise `Lost`. The route of goats has its own problem table."""

    async def lose(_request: web.Request) -> web.Response:
        raise Lost

    app = create_application(TABLE, redact=lambda text: text)
    add_routes(
        app,
        [
            Route("GET", "/sheep/{name}", Endpoint(lose), PUBLIC),
            Route("GET", "/goats/{name}", Endpoint(lose), PUBLIC, problem_table=GOATS),
        ],
    )
    return await aiohttp_client(app)


async def problem_at(client: Client, path: str) -> tuple[int, Any]:
    async with client.get(path) as response:
        return response.status, await response.json(content_type="application/problem+json")


async def test_problem_has_usual_status_of_type(client: Client) -> None:
    status, document = await problem_at(client, "/sheep/dolly")

    assert (status, document["status"], document["detail"]) == (404, 404, "It is somewhere else.")
    assert (document["type"], document["title"]) == ("/docs/problems/astray", "Astray")


async def test_route_with_own_problem_table_returns_another_status(client: Client) -> None:
    status, document = await problem_at(client, "/goats/billy")

    assert (status, document["status"], document["detail"]) == (410, 410, "It has eaten the fence.")
    assert (document["type"], document["title"]) == ("/docs/problems/astray", "Astray")


async def test_error_missing_in_the_table_of_a_route_uses_the_application_table(client: Client) -> None:
    async with client.post("/goats/billy") as response:
        document = await response.json(content_type="application/problem+json")

    assert (response.status, document["type"]) == (405, "/docs/problems/method-not-allowed")
