"""The secret that a command presents: read from the environment, a file or a prompt, never from its arguments, which
the shell's history and the list of processes show.
"""

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Final, NamedTuple

from pollgate.cli.errors import CliError

_KINDS: Final = {"pgt_": "an access token", "pga_": "an admin key", "pgs_": "a service's secret"}


class Credential(NamedTuple):
    """One kind of secret: what it is called, how it looks, which variable holds it, or names its file as X_FILE, and
    which command makes one.
    """

    name: str
    like: str
    variable: str
    made_by: str

    def read(self, usual_file: Path | None = None) -> str:
        """The secret; where neither variable is set, from the usual file, if that is there. Raises `CliError`."""
        given = os.environ.get(self.variable)
        if given:
            return self._of_this_kind(given, self.variable)
        named = os.environ.get(f"{self.variable}_FILE")
        file = Path(named) if named else usual_file
        text = None if file is None else self._text_of(file, must_exist=bool(named))
        if text is None:
            return self._asked_for(f"; {file} is not there" if file else "")
        return self._of_this_kind(text, str(file))

    def _text_of(self, file: Path, *, must_exist: bool) -> str | None:
        try:
            return file.read_text(encoding="utf-8") if must_exist or file.exists() else None
        except OSError as error:
            raise CliError(f"cannot read the {self.name}: {error.strerror}: {file}") from None
        except UnicodeDecodeError:
            raise CliError(f"{file} does not hold an {self.name}, {self.like}") from None

    def _asked_for(self, looked: str) -> str:
        missing = f"no {self.name}: set {self.variable} or {self.variable}_FILE{looked}"
        if not sys.stdin.isatty():
            raise CliError(missing)
        try:
            typed = getpass(f"{self.name.capitalize()}: ")
        except EOFError:
            typed = ""
        if not typed.strip():
            raise CliError(missing)
        return self._of_this_kind(typed, "your answer")

    def _of_this_kind(self, text: str, where: str) -> str:
        secret = text.strip()
        if not secret.isascii() or not secret.isprintable():
            told = f"check {self.variable} and {self.variable}_FILE"
            raise CliError(f"that is not an {self.name}, {self.like}: {told}")
        kind = secret[:4]
        if kind in _KINDS and not self.like.startswith(kind):
            raise CliError(
                f"{where} holds {_KINDS[kind]}, {kind}…, and an {self.name}, {self.like}, is wanted there; "
                f"`{self.made_by}` makes one"
            )
        return secret
