"""The documentation of one service: each part is made when it is first asked for, and kept."""

from collections.abc import Callable, Sequence
from functools import cached_property

import msgspec
from jinja2 import Environment

from shared.runtime.docs.pages import TEMPLATES, render_api, render_problem, render_problems, template_environment
from shared.runtime.openapi import Schema
from shared.runtime.problem_types import ProblemType


class Documentation:
    """The OpenAPI document of a service, and its pages. Create one instance per process."""

    def __init__(self, describe: Callable[[], Schema], problem_types: Sequence[ProblemType]) -> None:
        """`describe` makes the OpenAPI document."""
        self._describe = describe
        self._problem_types = {problem_type.slug: problem_type for problem_type in problem_types}

    @cached_property
    def document(self) -> Schema:
        """The OpenAPI 3.1 document."""
        return self._describe()

    @cached_property
    def openapi(self) -> bytes:
        """The OpenAPI document as JSON."""
        return msgspec.json.encode(self.document)

    @cached_property
    def api_page(self) -> str:
        """The HTML page that describes every operation and every schema."""
        return render_api(self._environment, self.document, list(self._problem_types.values()))

    @cached_property
    def problems_page(self) -> str:
        """The HTML page that lists the problem types."""
        return render_problems(self._environment, self._title, list(self._problem_types.values()))

    @cached_property
    def style(self) -> str:
        """The stylesheet of all pages."""
        return (TEMPLATES / "style.css").read_text(encoding="utf-8")

    def problem_page(self, slug: str) -> str | None:
        """Return the HTML page of a problem type, or `None` where the service has no such type."""
        problem_type = self._problem_types.get(slug)
        return render_problem(self._environment, self._title, problem_type) if problem_type else None

    @property
    def _title(self) -> str:
        return str(self.document["info"]["title"])

    @cached_property
    def _environment(self) -> Environment:
        return template_environment()
