"""Render the HTML pages from the templates in this package, with all values escaped."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.runtime.docs.openapi import Schema
from shared.runtime.docs.outline import outline_of
from shared.runtime.docs.schemas import as_json, paragraphs, prose
from shared.runtime.http.problem import ProblemDocument
from shared.runtime.http.problem_types import ProblemType

TEMPLATES: Final = Path(__file__).parent / "templates"


def template_environment() -> Environment:
    """Return the environment that renders the pages."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(prose=prose, paragraphs=paragraphs)
    return environment


def render_api(environment: Environment, document: Schema, kinds: Sequence[ProblemType]) -> str:
    """Return the page with every operation and schema of the document."""
    outline = outline_of(document, {kind.status for kind in kinds})
    return environment.get_template("api.html").render(service=outline.info["title"], outline=outline)


def render_problems(environment: Environment, service: str, kinds: Sequence[ProblemType]) -> str:
    """Return the page that lists the problem types by status."""
    ordered = sorted(kinds, key=lambda kind: (kind.status, kind.slug))
    groups = [(status, list(group)) for status, group in groupby(ordered, lambda kind: kind.status)]
    return environment.get_template("problems.html").render(service=service, groups=groups)


def render_problem(environment: Environment, service: str, kind: ProblemType) -> str:
    """Return the page of one problem type."""
    example = ProblemDocument(
        type=kind.path,
        title=kind.title,
        status=kind.status,
        detail="What is wrong with this request, and what is expected.",
        request_id="9f2c4b7a1d3e5f60",
    )
    shown = as_json(example, indent=2)
    return environment.get_template("problem.html").render(service=service, kind=kind, example=shown)
