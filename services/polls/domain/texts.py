"""Clean the texts of a poll or ballot, and collect what is wrong with them."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from services.polls.domain.errors import Violation
from shared.runtime.text.characters import InvalidText, fit_line, fit_lines

Path = tuple[str | int, ...]


class TextCleaner:
    """Cleans texts, and collects violations. A text that is already stored is kept as it is."""

    def __init__(self, stored_line: Collection[str] = (), stored_lines: Collection[str] = ()) -> None:
        self.violations: Final[list[Violation]] = []
        self._stored_line = stored_line
        self._stored_lines = stored_lines

    def line(self, path: Path, text: str, limit: int) -> str:
        """Return a text of one line with 1 to `limit` characters."""
        return text if text in self._stored_line else self._collect(path, text, partial(fit_line, limit=limit))

    def lines(self, path: Path, text: str, limit: int, *, least: int = 0) -> str:
        """Return a text of any number of lines with `least` to `limit` characters."""
        if text in self._stored_lines:
            return text
        return self._collect(path, text, partial(fit_lines, limit=limit, least=least))

    def _collect(self, path: Path, text: str, fit: Callable[[str], str]) -> str:
        try:
            return fit(text)
        except InvalidText as error:
            self.violations.append(Violation(path, f"this {error}"))
            return text


def find_same(keys: Sequence[str]) -> dict[int, int]:
    """Return the index of the first equal key, by the index of each that repeats it."""
    first: dict[str, int] = {}
    return {index: first[key] for index, key in enumerate(keys) if first.setdefault(key, index) != index}
