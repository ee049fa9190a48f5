"""A person who opens a URL of a service in a browser sees a page. A program gets what it can read."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from tests.support.example_service import create_example_app
from tests.support.html_page import HtmlPage

Client = TestClient[web.Request, web.Application]

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAMS = {
    "curl": {"Accept": "*/*"},
    "no Accept header": {},
    "client that reads JSON": {"Accept": "application/json"},
    "client that prefers JSON": {"Accept": "application/json, text/html;q=0.9"},
    "client that reads problems": {"Accept": "application/problem+json, */*;q=0.1"},
}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run the example service."""
    return await aiohttp_client(create_example_app())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_root_returns_303_with_location_of_docs(client: Client, method: str) -> None:
    async with client.request(method, "/", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/docs")
        assert await response.read() == b""


async def test_docs_path_with_slash_returns_308_without_it(client: Client, subtests: pytest.Subtests) -> None:
    for path in ("/docs", "/docs/problems", "/docs/problems/not-found", "/docs/guide", "/docs/guide/polls"):
        with subtests.test(path):
            async with client.get(path + "/", allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (308, path)
            async with client.get(path + "/") as response:
                assert response.status == 200


async def test_icon_is_an_image(client: Client, subtests: pytest.Subtests) -> None:
    for path in ("/favicon.ico", "/docs/icon.svg"):
        with subtests.test(path):
            async with client.get(path) as response:
                assert (response.status, response.content_type) == (200, "image/svg+xml")


async def test_error_in_browser_is_a_page_with_the_same_status(client: Client) -> None:
    async with client.get("/flocks/none", headers=BROWSER) as response:
        page = HtmlPage(await response.text())

    words = " ".join(page.words.split())
    assert (response.status, response.content_type) == (404, "text/html")
    assert "Unknown flock 404 /docs/problems/unknown-flock No flock has this name." in words
    assert "Counts sheep in flocks." in words
    assert {"/docs", "/docs/guide", "/docs/problems/unknown-flock"} <= set(page.references)
    assert response.headers["X-Request-ID"] in words


async def test_errors_of_a_field_are_on_the_page(client: Client) -> None:
    async with client.get("/flocks?limit=many", headers=BROWSER) as response:
        page = HtmlPage(await response.text())

    assert response.status == 400
    assert "limit:" in " ".join(page.words.split())


async def test_page_of_an_error_loads_nothing_from_elsewhere(client: Client) -> None:
    async with client.get("/none", headers=BROWSER) as response:
        page = HtmlPage(await response.text())

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"
    assert not page.tags & {"script", "style", "iframe", "form"}


async def test_error_for_a_program_is_a_problem_document(client: Client, subtests: pytest.Subtests) -> None:
    for name, headers in PROGRAMS.items():
        with subtests.test(name):
            async with client.get("/flocks/none", headers=headers) as response:
                assert (response.status, response.content_type) == (404, "application/problem+json")
                assert response.headers["Vary"] == "Accept"


async def test_markup_in_a_request_is_escaped_on_the_page(client: Client) -> None:
    async with client.get("/flocks?%3Cscript%3E=1", headers=BROWSER) as response:
        page = HtmlPage(await response.text())

    assert response.status == 400
    assert "script" not in page.tags


async def test_success_in_browser_is_json(client: Client) -> None:
    async with client.get("/flocks", headers=BROWSER) as response:
        assert (response.status, response.content_type) == (200, "application/json")
