"""The folders of the pages, and the functions that their templates call."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from services.polls.pages.results_view import colour_of, has_label, percent, pie_slices, shown_options

TEMPLATE_FOLDER: Final = Path(__file__).parent / "templates"
STATIC_FOLDER: Final = Path(__file__).parent / "static"
TEMPLATE_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "colour_of": colour_of,
    "has_label": has_label,
    "percent": percent,
    "pie_slices": pie_slices,
    "shown_options": shown_options,
}
