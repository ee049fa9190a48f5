"""Render pages from Jinja templates, with all values escaped.

Jinja is imported with the first page: it would make up a tenth of the time that a service takes to start.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED_TEMPLATES: Final = Path(__file__).parent / "templates"
"""The folder with the layout and the macros of every service's pages."""


class Templates:
    """The templates of one service, which find those that all services share. Create one instance per process.

    `functions` can be called in every template. A template that uses a value that is not given fails.
    """

    def __init__(self, folder: Path, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._folder = folder
        self._functions = functions

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of a page."""
        return self._environment.get_template(name).render(values)

    @cached_property
    def _environment(self) -> "Environment":
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - not before the first page

        from shared.runtime.pages.filters import FILTERS  # noqa: PLC0415 - it imports Jinja's escaping

        environment = Environment(
            loader=FileSystemLoader([self._folder, SHARED_TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(FILTERS)
        environment.globals.update(self._functions)
        return environment
