"""The shell variables of the commands on a page, and how a command refers to them."""

from collections.abc import Sequence
from shlex import quote
from typing import Final

from msgspec import Struct

ORIGIN_MARK: Final = "{origin}"
"""Stands for the service's URL in the rendered pages, which are the same for every service of a kind."""


class Variable(Struct, frozen=True, kw_only=True):
    """A variable that a reader sets once, to paste the commands of the page.

    `meaning` says what to set it to. The variable replaces one of these: the credential of the security schemes
    `schemes`, the path parameter `parameter`, the text `value` in examples, or the whole URL of the route `path`.
    """

    name: str
    meaning: str
    schemes: tuple[str, ...] = ()
    parameter: str = ""
    value: str = ""
    path: str = ""


class Variables:
    """The variables of one page."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._variables = variables

    def of_scheme(self, scheme: str) -> str:
        """Return the reference for the credential of a security scheme, with a colon between two parts of it.

        Without a variable for the scheme, it is the scheme's name in capitals.
        """
        names = [each.name for each in self._variables if scheme in each.schemes]
        return ":".join(f"${name}" for name in names or [scheme.upper()])

    def of_parameter(self, parameter: str) -> str:
        """Return the reference for a path parameter, by default the parameter's name in capitals."""
        name = next((each.name for each in self._variables if each.parameter == parameter), parameter.upper())
        return f"${name}"

    def url_of(self, path: str) -> str:
        """Return the URL of a route, with its parameters as in `path` unless a variable stands for the whole URL."""
        name = next((each.name for each in self._variables if each.path == path), None)
        return ORIGIN_MARK + path if name is None else f"${name}"

    def reference(self, value: str) -> str | None:
        """Return the reference for a value of an example, or `None` if no variable replaces it."""
        return next((f"${each.name}" for each in self._variables if each.value and each.value == value), None)

    def shell_word(self, text: str) -> str:
        """Return the text as one word of a shell, with a reference for each value that a variable replaces."""
        for each in self._variables:
            if each.value and each.value in text:
                parts = (self.shell_word(part) if part else "" for part in text.split(each.value))
                return f'"${each.name}"'.join(parts)
        return quote(text)
