"""Blacks secrets out of a text, also percent-encoded ones: the last net before a line is written."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

_ENCODABLE: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[0-9A-Za-z_])+")
_MAX_ENCODINGS: Final = 3

Redact = Callable[[str], str]


def redactor(secret: re.Pattern[str]) -> Redact:
    """A function that replaces whatever `secret` finds, as it stands or percent-encoded up to three times over."""

    def redact_run(run: re.Match[str]) -> str:
        text = run.group()
        for _ in range(_MAX_ENCODINGS):
            if secret.search(text):
                return secret.sub("[redacted]", text)
            text = unquote(text)
        return secret.sub("[redacted]", text) if secret.search(text) else run.group()

    return lambda text: _ENCODABLE.sub(redact_run, text) if "_" in text or "%" in text else text
