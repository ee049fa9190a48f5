"""Clean the texts of a poll or ballot, and collect what is wrong with them."""

from collections.abc import Collection, Sequence
from typing import Final

from services.polls.domain.errors import Violation
from shared.runtime.text.characters import MAX_SHRINKING, InvalidText, clean_line, clean_lines

Path = tuple[str | int, ...]


class TextCleaner:
    """Cleans texts, and collects violations. A text that is already stored is kept as it is."""

    def __init__(self, stored_line: Collection[str] = (), stored_lines: Collection[str] = ()) -> None:
        self.violations: Final[list[Violation]] = []
        self._stored_line = stored_line
        self._stored_lines = stored_lines

    def line(self, path: Path, text: str, limit: int) -> str:
        """Return a text of one line with 1 to `limit` characters."""
        return text if text in self._stored_line else self._clean(path, text, 1, limit, is_line=True)

    def lines(self, path: Path, text: str, limit: int, *, least: int = 0) -> str:
        """Return a text of any number of lines with `least` to `limit` characters."""
        return text if text in self._stored_lines else self._clean(path, text, least, limit, is_line=False)

    def _clean(self, path: Path, text: str, least: int, limit: int, *, is_line: bool) -> str:
        cleaned = text
        if len(text) <= MAX_SHRINKING * limit:
            try:
                cleaned = clean_line(text) if is_line else clean_lines(text)
            except InvalidText as error:
                self.violations.append(Violation(path, f"this {error}"))
                return text
        if not least <= len(cleaned) <= limit:
            expected = f"{least} to {limit}" if least else f"at most {limit}"
            trimmed = "" if len(cleaned) == len(text) else "; blanks around a text are not counted"
            self.violations.append(Violation(path, f"expected {expected} characters, got {len(cleaned)}{trimmed}"))
        return cleaned


def find_same(keys: Sequence[str]) -> dict[int, int]:
    """Return the index of the first equal key, by the index of each that repeats it."""
    first: dict[str, int] = {}
    return {index: first[key] for index, key in enumerate(keys) if first.setdefault(key, index) != index}
