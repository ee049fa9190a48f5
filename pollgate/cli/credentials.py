"""Secrets that commands send: read from the environment, a file or a prompt, never from the arguments, which the
shell's history and the process list show.
"""

import os
import shlex
import sys
from getpass import getpass
from pathlib import Path
from typing import NamedTuple

from pollgate.cli.errors import CliError
from pollgate.cli.output import warn
from shared.contract.presented_secret import trim_secret
from shared.contract.token import SECRET_NAMES
from shared.runtime.process.private_file import can_others_read


class Credential(NamedTuple):
    """A kind of secret: its name, its format, the variable that contains it (or with _FILE appended, names a file),
    and the command that creates one.
    """

    name: str
    format: str
    variable: str
    created_by: str

    def read(self, default_file: Path | None = None) -> str:
        """Return the secret; where neither variable is set, from the default file if it exists. Raise `CliError`."""
        value = os.environ.get(self.variable)
        if value:
            return self._validate(value, self.variable)
        named = os.environ.get(f"{self.variable}_FILE")
        file = Path(named) if named else default_file
        text = None if file is None else self._read_file(file, must_exist=bool(named))
        if text is None:
            return self._prompt(f"; {file} does not exist" if file else "")
        return self._validate(text, str(file))

    def _read_file(self, file: Path, *, must_exist: bool) -> str | None:
        try:
            if not must_exist and not file.exists():
                return None
            text = file.read_text(encoding="utf-8")
            if can_others_read(file):
                warn(f"other users can read this {self.name}; run: chmod 600 {shlex.quote(str(file))}")
        except OSError as error:
            raise CliError(f"cannot read the {self.name}: {error.strerror}: {file}") from None
        except UnicodeDecodeError:
            raise CliError(f"{file} does not contain an {self.name} ({self.format})") from None
        return text

    def _prompt(self, searched: str) -> str:
        missing = f"no {self.name}: set {self.variable} or {self.variable}_FILE{searched}"
        if not sys.stdin.isatty():
            raise CliError(missing)
        try:
            typed = getpass(f"{self.name.capitalize()}: ")
        except EOFError:
            typed = ""
        if not typed.strip():
            raise CliError(missing)
        return self._validate(typed, "the prompt")

    def _validate(self, text: str, source: str) -> str:
        """Return the secret without surrounding whitespace. Raise `CliError` for one of another kind."""
        secret = trim_secret(text)
        if not secret.isascii() or not secret.isprintable():
            variables = f"{self.variable} and {self.variable}_FILE"
            raise CliError(f"this is not an {self.name} ({self.format}); check {variables}")
        kind, underscore, _ = secret.partition("_")
        if underscore and kind in SECRET_NAMES and not self.format.startswith(kind):
            raise CliError(
                f"{source} contains {SECRET_NAMES[kind]} ({kind}_…), but an {self.name} ({self.format}) is required; "
                f"`{self.created_by}` creates one"
            )
        return secret
