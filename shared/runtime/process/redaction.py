"""Redact secrets, including percent-encoded ones, from text: the last safeguard before a line is written."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

_ENCODABLE: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[0-9A-Za-z_])+")
_MAX_ENCODINGS: Final = 10

Redact = Callable[[str], str]


def redactor(secret: re.Pattern[str], start: str) -> Redact:
    """Return a function that replaces each run of characters in which `secret` matches after repeated decoding.

    A run that is still encoded after `_MAX_ENCODINGS` rounds is replaced too. Every secret begins with `start`, so a
    text with neither that nor a `%` contains none, which two searches find out.
    """

    def contains_secret(text: str) -> bool:
        for _ in range(_MAX_ENCODINGS):
            if secret.search(text):
                return True
            decoded = unquote(text)
            if decoded == text:
                return False
            text = decoded
        return True

    def redact_run(run: re.Match[str]) -> str:
        return "[redacted]" if contains_secret(run.group()) else run.group()

    def redact(text: str) -> str:
        return _ENCODABLE.sub(redact_run, text) if start in text or "%" in text else text

    return redact
