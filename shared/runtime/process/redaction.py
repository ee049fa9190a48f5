"""Blacks secrets out of a text, also percent-encoded ones: the last net before a line is written."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

_ENCODABLE: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[0-9A-Za-z_])+")
_MAX_ENCODINGS: Final = 10

Redact = Callable[[str], str]


def redactor(secret: re.Pattern[str]) -> Redact:
    """A function that replaces every run of characters in which `secret` finds something, however often encoded.

    A run that is encoded more often than anyone has a reason to is replaced too.
    """

    def hides_a_secret(text: str) -> bool:
        for _ in range(_MAX_ENCODINGS):
            if secret.search(text):
                return True
            decoded = unquote(text)
            if decoded == text:
                return False
            text = decoded
        return True

    def redact_run(run: re.Match[str]) -> str:
        return "[redacted]" if hides_a_secret(run.group()) else run.group()

    return lambda text: _ENCODABLE.sub(redact_run, text)
