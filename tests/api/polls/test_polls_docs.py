"""The documentation pages of the polls service are public, and describe every route and every problem."""

import asyncio

import pytest

from services.polls.problems import PROBLEM_TYPES
from services.polls.routes import ROUTES
from tests.support.html_page import HtmlPage
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services


async def test_page_describes_every_route(polls: Polls) -> None:
    answer = await polls("GET", "/docs")

    page = HtmlPage(answer.body.decode())
    words = " ".join(page.words.split())
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert all(f"{route.method} {route.path}" in words for route in ROUTES)
    assert {reference[1:] for reference in page.references if reference.startswith("#")} <= set(page.ids)


async def test_type_of_every_problem_returns_200(polls: Polls) -> None:
    answers = await asyncio.gather(*(polls("GET", kind.path) for kind in PROBLEM_TYPES))

    assert {answer.status for answer in answers} == {200}


async def test_type_of_401_problem_returns_200(polls: Polls) -> None:
    refusal = await polls("GET", "/v1/polls")

    assert refusal.status == 401
    assert (await polls("GET", refusal.json["type"])).status == 200
