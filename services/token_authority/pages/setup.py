"""The folders of the settings pages, and the functions that their templates call."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from services.token_authority.pages.words import chips, describe_scope, status_of

TEMPLATE_FOLDER: Final = Path(__file__).parent / "templates"
STATIC_FOLDER: Final = Path(__file__).parent / "static"
TEMPLATE_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "chips": chips,
    "describe_scope": describe_scope,
    "status_of": status_of,
}
