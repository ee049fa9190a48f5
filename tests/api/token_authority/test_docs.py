"""The authority's documentation pages are public and cover every route and every problem type."""

import asyncio

import pytest

from services.token_authority.problems import PROBLEM_TYPES
from services.token_authority.routes import ROUTES
from tests.support.html_page import HtmlPage
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


async def test_docs_page_describes_every_route(authority: Authority) -> None:
    answer = await authority("GET", "/docs")

    page = HtmlPage(answer.body.decode())
    words = " ".join(page.words.split())
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert all(f"{route.method} {route.path}" in words for route in ROUTES)
    assert {reference[1:] for reference in page.references if reference.startswith("#")} <= set(page.ids)


async def test_type_of_every_problem_resolves_to_page(authority: Authority) -> None:
    answers = await asyncio.gather(*(authority("GET", kind.path) for kind in PROBLEM_TYPES))

    assert {answer.status for answer in answers} == {200}


async def test_links_in_401_resolve(authority: Authority) -> None:
    refusal = await authority("GET", "/v1/tokens")

    assert refusal.status == 401
    assert (await authority("GET", refusal.json["type"])).status == 200
