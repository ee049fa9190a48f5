"""The secret that a command presents: read from the environment, a file or a prompt, never from its arguments, which
the shell's history and the list of processes show.
"""

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import NamedTuple

from pollgate.sentence import Sentence


class Credential(NamedTuple):
    """One kind of secret: what it is called, how it looks, and which variable holds it, or names its file as X_FILE."""

    name: str
    like: str
    variable: str

    def read(self, usual_file: Path | None = None) -> str:
        """The secret; where neither variable is set, from the usual file, if that is there. Raises `Sentence`."""
        given = os.environ.get(self.variable)
        if given:
            return self._on_one_line(given)
        named = os.environ.get(f"{self.variable}_FILE")
        file = Path(named) if named else usual_file
        text = None if file is None else self._text_of(file, must_exist=bool(named))
        if text is None:
            return self._asked_for(f"; {file} is not there" if file else "")
        return self._on_one_line(text)

    def _text_of(self, file: Path, *, must_exist: bool) -> str | None:
        try:
            return file.read_text(encoding="utf-8") if must_exist or file.exists() else None
        except OSError as error:
            raise Sentence(f"cannot read the {self.name}: {error.strerror}: {file}") from None
        except UnicodeDecodeError:
            raise Sentence(f"{file} does not hold an {self.name}, {self.like}") from None

    def _asked_for(self, looked: str) -> str:
        missing = f"no {self.name}: set {self.variable} or {self.variable}_FILE{looked}"
        if not sys.stdin.isatty():
            raise Sentence(missing)
        try:
            typed = getpass(f"{self.name.capitalize()}: ")
        except EOFError:
            typed = ""
        if not typed.strip():
            raise Sentence(missing)
        return self._on_one_line(typed)

    def _on_one_line(self, text: str) -> str:
        secret = text.strip()
        if not secret.isascii() or not secret.isprintable():
            told = f"check {self.variable} and {self.variable}_FILE"
            raise Sentence(f"that is not an {self.name}, {self.like}: {told}")
        return secret
