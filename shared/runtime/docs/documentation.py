"""Render all documentation pages of one service at the first request for one of them."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from shared.runtime.docs.openapi import Schema, openapi_document
from shared.runtime.docs.pages import TEMPLATES, render_api, render_problem, render_problems, template_environment
from shared.runtime.http.problem_types import ProblemType
from shared.runtime.http.routes import Route


class Pages(Struct, frozen=True):
    """The OpenAPI document as JSON, HTML pages that describe the service, and their stylesheet."""

    openapi: bytes
    style: str
    api: str
    problems: str
    problem_by_slug: Mapping[str, str]


class Documentation:
    """The pages of a service. Create one instance per process."""

    def __init__(
        self,
        info: Schema,
        routes: Sequence[Route],
        security_schemes: Mapping[str, Schema],
        problem_types: Sequence[ProblemType],
    ) -> None:
        """Take the parts of the OpenAPI document, and the problem types, which get a page each."""
        self._info = info
        self._routes = routes
        self._security_schemes = security_schemes
        self._problem_types = problem_types
        self._lock = asyncio.Lock()
        self._pages: Pages | None = None

    async def pages(self) -> Pages:
        """Return the pages. The first call renders them in a thread, which takes about 150 ms."""
        async with self._lock:
            if self._pages is None:
                self._pages = await asyncio.to_thread(self._render_pages)
            return self._pages

    def _render_pages(self) -> Pages:
        document = openapi_document(self._info, self._routes, self._security_schemes)
        return _render(document, self._problem_types)


def _render(document: Schema, problem_types: Sequence[ProblemType]) -> Pages:
    environment, service = template_environment(), str(document["info"]["title"])
    return Pages(
        openapi=msgspec.json.encode(document),
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        api=render_api(environment, document, problem_types),
        problems=render_problems(environment, service, problem_types),
        problem_by_slug={kind.slug: render_problem(environment, service, kind) for kind in problem_types},
    )
