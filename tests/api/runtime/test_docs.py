"""The documentation pages of a service show its whole API and its problem types, without external resources."""

import re
from collections.abc import Iterator
from urllib.parse import urldefrag

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from shared.runtime.docs import Documentation, add_docs
from shared.runtime.http.endpoint import Endpoint, Operation, Response
from shared.runtime.http.problem_types import ProblemType
from shared.runtime.http.routes import PUBLIC, Route, find_unlisted_routes, list_routes
from tests.support.example_service import (
    INFO,
    PROBLEM_TYPES,
    SECURITY_SCHEMES,
    SHEEP_ROUTES,
    URL,
    build_example_document,
    create_example_app,
)
from tests.support.html_page import HtmlPage

Client = TestClient[web.Request, web.Application]

GUIDE = [
    "/docs/guide",
    "/docs/guide/polls",
    "/docs/guide/texts-and-times",
    "/docs/guide/decisions/004-generate-secrets",
]
PAGES = ["/docs", "/docs/problems", *(kind.path for kind in PROBLEM_TYPES), *GUIDE]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run the example service."""
    return await aiohttp_client(create_example_app())


async def page_of(client: Client, path: str) -> HtmlPage:
    async with client.get(path) as response:
        assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
        return HtmlPage(await response.text())


def words_of(page: HtmlPage) -> str:
    return " ".join(page.words.split())


async def test_docs_page_shows_every_operation(client: Client) -> None:
    page = await page_of(client, "/docs")

    for route in SHEEP_ROUTES:
        assert route.endpoint.operation is not None
        assert f"{route.endpoint.operation.summary} {route.method} {route.path}" in words_of(page)
        assert f"operation-{route.endpoint.name}" in page.ids


async def test_docs_page_shows_every_schema_with_fields_and_rules(client: Client) -> None:
    page = await page_of(client, "/docs")

    assert {f"schema-{name}" for name in build_example_document()["components"]["schemas"]} <= set(page.ids)
    assert 'name required text matches ^[a-z]{1,20}$ unique for example "dolly"' in words_of(page)
    assert "sheep required whole number 1 to 1000" in words_of(page)
    assert 'colour "black" or "white" default "white"' in words_of(page)
    assert "dogs list of Dog at most 3 values default []" in words_of(page)
    assert "ages object, each value whole number default {}" in words_of(page)
    assert "shorn_at time (RFC 3339) or null" in words_of(page)


async def test_operation_shows_parameters_bodies_and_responses(client: Client) -> None:
    words = words_of(await page_of(client, "/docs"))

    assert "limit query, whole number 1 to 100 default 10 maximum number of flocks" in words
    assert "Flock-Key header, text makes a retry safe" in words
    assert "ChangeFlock as application/merge-patch+json, application/json." in words
    assert '{ "sheep": 4 }' in words
    assert "200 The flocks. Flocks as application/json" in words
    assert "text as text/csv name,sheep dolly,3" in words
    assert "Location: the path of the flock" in words
    assert "Credential: shepherd." in words


async def test_operation_shows_curl_command_with_its_examples(client: Client) -> None:
    words = words_of(await page_of(client, "/docs"))

    assert 'curl "https://sheep.example/flocks" Parameters' in words
    assert 'curl -X PATCH "https://sheep.example/flocks/dolly" \\ -H "Authorization: Bearer $CROOK"' in words
    assert "-H 'Content-Type: application/merge-patch+json' \\ -d '{\"sheep\": 4}'" in words
    assert 'curl -X POST "https://sheep.example/whistle" \\ --data-urlencode tune="$TUNE" Body' in words


async def test_docs_page_describes_variables_of_commands(client: Client) -> None:
    words = words_of(await page_of(client, "/docs"))

    assert "CROOKthe credential of the shepherd TUNEhome or away" in words


async def test_every_link_has_a_target(client: Client) -> None:
    pages = {path: await page_of(client, path) for path in PAGES}

    for path, page in pages.items():
        for reference in page.references:
            target, anchor = urldefrag(reference)
            async with client.get(target or path) as response:
                assert response.status == 200, f"{path} refers to {reference}"
            assert not anchor or anchor in pages[target or path].ids, f"{path} refers to {reference}"


async def test_error_links_to_problem_types_of_its_status(client: Client) -> None:
    page, problems = await page_of(client, "/docs"), await page_of(client, "/docs/problems")

    assert "/docs/problems#status-404" in page.references
    assert {"status-404", "status-422"} <= set(problems.ids)


@pytest.mark.parametrize("path", PAGES)
async def test_page_has_no_external_resources_and_no_scripts(client: Client, path: str) -> None:
    page = await page_of(client, path)

    assert all(re.match(r"(/|#)(?!/)", reference) for reference in page.references)
    assert not page.tags & {"script", "style", "iframe", "img", "form", "base"}
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}


async def test_stylesheet_has_no_external_resources(client: Client) -> None:
    async with client.get("/docs/style.css") as response:
        style = await response.text()

    assert (response.status, response.content_type) == (200, "text/css")
    assert not re.search(r"url\(|@import|@font-face", style)


@pytest.mark.parametrize("path", [*PAGES, "/docs/style.css"])
async def test_page_has_strict_content_security_policy(client: Client, path: str) -> None:
    async with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"].split("; ")

    assert policy[:2] == ["default-src 'none'", "style-src 'self'"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
async def test_anchors_are_unique(client: Client, path: str) -> None:
    page = await page_of(client, path)

    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("kind", PROBLEM_TYPES, ids=lambda kind: kind.slug)
async def test_every_problem_type_has_a_page_and_is_listed(client: Client, kind: ProblemType) -> None:
    listed, page = await page_of(client, "/docs/problems"), await page_of(client, kind.path)

    assert kind.path in listed.references
    for text in (kind.title, str(kind.status), kind.meaning, kind.remedy, f'"type": "{kind.path}"'):
        assert text.replace("`", "") in words_of(page)


@pytest.mark.parametrize("path", ["/docs/problems/wolf", "/docs/problems/..%2Fstyle.css", "/docs/guide/wolf"])
async def test_unknown_page_returns_404(client: Client, path: str) -> None:
    async with client.get(path) as response:
        document = await response.json(content_type="application/problem+json")

    assert (response.status, document["type"]) == (404, "/docs/problems/not-found")


async def test_type_of_a_problem_is_the_path_of_its_page(client: Client) -> None:
    async with client.get("/flocks/none") as response:
        document = await response.json(content_type="application/problem+json")

    assert document["detail"] == "No flock has this name."
    assert "Count again." in words_of(await page_of(client, document["type"]))


MARKUP = "<script>alert('&amp;')</script>"


async def test_markup_in_a_document_is_escaped(aiohttp_client: AiohttpClient) -> None:
    responses = {200: Response(description=MARKUP, body=str, example=MARKUP, headers={"X-Wool": MARKUP})}
    operation = Operation(summary=MARKUP, description=f"`{MARKUP}`", tags=(MARKUP,), responses=responses)
    kind = ProblemType("wolf", 418, MARKUP, meaning=MARKUP, remedy=f"`{MARKUP}`")
    info = {"title": MARKUP, "version": MARKUP, "description": MARKUP}
    app = web.Application()
    routes = [Route("GET", "/wool", Endpoint(_never_called, operation), PUBLIC)]
    add_docs(app, Documentation(info, routes, {}, [kind]), f"http://{MARKUP}")
    client = await aiohttp_client(app)

    pages = [await page_of(client, path) for path in ("/docs", "/docs/problems", kind.path)]

    assert all(MARKUP in page.words for page in pages)
    assert not any("script" in page.tags for page in pages)


async def _never_called(_request: web.Request) -> web.Response:
    raise AssertionError


class CountedRoutes(list[Route]):
    """Routes that count how often they are read."""

    times_read = 0

    def __iter__(self) -> Iterator[Route]:
        self.times_read += 1
        return super().__iter__()


async def test_document_is_generated_once_at_the_first_request(aiohttp_client: AiohttpClient) -> None:
    routes = CountedRoutes(SHEEP_ROUTES)
    app = web.Application()
    add_docs(app, Documentation(INFO, routes, SECURITY_SCHEMES, PROBLEM_TYPES), URL)
    client = await aiohttp_client(app)
    before = routes.times_read

    for path in ("/docs", "/openapi.json", *PAGES, "/openapi.json"):
        async with client.get(path) as response:
            assert response.status == 200

    assert (before, routes.times_read) == (0, 1)


def test_every_page_is_public() -> None:
    app = web.Application()

    add_docs(app, Documentation(INFO, SHEEP_ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES), URL)

    assert find_unlisted_routes(app) == []
    assert {route.path.rstrip("/") or "/" for route in list_routes(app)} == {
        "/",
        "/openapi.json",
        "/favicon.ico",
        "/docs",
        "/docs/style.css",
        "/docs/icon.svg",
        "/docs/problems",
        "/docs/problems/{slug}",
        "/docs/guide",
        "/docs/guide/{name}",
        "/docs/guide/{folder}/{name}",
    }
    assert all(route.access is PUBLIC for route in list_routes(app))
