"""Render all documentation pages of one service at the first request for one of them.

The libraries for pages are imported then, too: they would make up a tenth of the time that a service takes to start.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from shared.runtime.docs.openapi import Schema, openapi_document
from shared.runtime.docs.variables import Variable
from shared.runtime.http.problem_types import ProblemType
from shared.runtime.http.routes import Route

if TYPE_CHECKING:
    from shared.runtime.docs.guide import Guide
    from shared.runtime.docs.pages import Templates

GUIDE_ROUTE: Final = "/docs/guide"


class Pages(Struct, frozen=True):
    """The OpenAPI document as JSON, HTML pages that describe the service, and their stylesheet and icon.

    `templates` renders the page of an error.
    """

    openapi: bytes
    style: str
    icon: str
    api: str
    problems: str
    problem_by_slug: Mapping[str, str]
    templates: "Templates"


class Documentation:
    """The pages of a service. Create one instance per process."""

    def __init__(
        self,
        info: Schema,
        routes: Sequence[Route],
        security_schemes: Mapping[str, Schema],
        problem_types: Sequence[ProblemType],
        variables: Sequence[Variable] = (),
    ) -> None:
        """Take the parts of the OpenAPI document, the problem types, which get a page each, and the variables of the
        commands.
        """
        self._info = info
        self._routes = routes
        self._security_schemes = security_schemes
        self._problem_types = problem_types
        self._variables = variables
        self._lock = asyncio.Lock()
        self._pages: Pages | None = None
        self._guide_pages: dict[str, str] = {}

    async def pages(self) -> Pages:
        """Return the pages. The first call renders them in a thread, which takes about 150 ms."""
        async with self._lock:
            if self._pages is None:
                self._pages = await asyncio.to_thread(self._render_pages)
            return self._pages

    @cached_property
    def _guide(self) -> "Guide":
        """The documents, found at the first request, not at import."""
        from shared.runtime.docs.guide import Guide  # noqa: PLC0415 - not before the first page

        return Guide()

    async def guide_page(self, path: str) -> str | None:
        """Return the page of the guide at the path, rendered in a thread by the first call, or `None`."""
        templates = (await self.pages()).templates
        if path not in self._guide.paths:
            return None
        if path not in self._guide_pages:
            page = await asyncio.to_thread(self._guide.render, path)
            self._guide_pages[path] = templates.render_guide_page(page)
        return self._guide_pages[path]

    async def guide_image(self, path: str) -> bytes | None:
        """Return the picture of the guide at the path, a PNG, or `None`."""
        return await asyncio.to_thread(self._guide.read_image, path)

    def _render_pages(self) -> Pages:
        from shared.runtime.docs.pages import TEMPLATES, Templates  # noqa: PLC0415 - not before the first page

        document = openapi_document(self._info, self._routes, self._security_schemes)
        templates = Templates(self._info, has_guide=bool(self._guide.paths))
        return Pages(
            openapi=msgspec.json.encode(document),
            style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
            icon=(TEMPLATES / "icon.svg").read_text(encoding="utf-8"),
            api=templates.render_api(document, self._problem_types, self._variables),
            problems=templates.render_problems(self._problem_types),
            problem_by_slug={kind.slug: templates.render_problem(kind) for kind in self._problem_types},
            templates=templates,
        )
