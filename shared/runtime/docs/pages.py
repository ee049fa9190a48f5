"""Render the HTML pages from the templates in this package, with all values escaped."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.runtime.docs.guide import GuidePage
from shared.runtime.docs.openapi import Schema
from shared.runtime.docs.outline import outline_of
from shared.runtime.docs.schemas import as_json, paragraphs, prose
from shared.runtime.docs.variables import Variable
from shared.runtime.http.problem import ProblemDocument
from shared.runtime.http.problem_types import ProblemType

TEMPLATES: Final = Path(__file__).parent / "templates"


class Templates:
    """Renders the pages of one service. `info` is the Info Object of its OpenAPI document."""

    def __init__(self, info: Schema, *, has_guide: bool) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(prose=prose, paragraphs=paragraphs)
        self._environment.globals.update(
            service=info["title"], about=info.get("description", ""), has_guide=has_guide, version=info["version"]
        )

    def render_api(self, document: Schema, kinds: Sequence[ProblemType], variables: Sequence[Variable]) -> str:
        """Return the page with every operation and schema of the document."""
        outline = outline_of(document, {kind.status for kind in kinds}, variables)
        return self._render("api.html", outline=outline, variables=variables)

    def render_problems(self, kinds: Sequence[ProblemType]) -> str:
        """Return the page that lists the problem types by status."""
        ordered = sorted(kinds, key=lambda kind: (kind.status, kind.slug))
        groups = [(status, list(group)) for status, group in groupby(ordered, lambda kind: kind.status)]
        return self._render("problems.html", groups=groups)

    def render_problem(self, kind: ProblemType) -> str:
        """Return the page of one problem type."""
        example = ProblemDocument(
            type=kind.path,
            title=kind.title,
            status=kind.status,
            detail="What is wrong with this request, and what is expected.",
            request_id="9f2c4b7a1d3e5f60",
        )
        return self._render("problem.html", kind=kind, example=as_json(example, indent=2))

    def render_error(self, problem: ProblemDocument) -> str:
        """Return the page that a browser shows for a failed request."""
        return self._render("error.html", problem=problem)

    def render_guide_page(self, page: GuidePage) -> str:
        """Return one page of the guide."""
        return self._render("guide.html", page=page)

    def _render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(**values)
