"""Shorten the User-Agent header (RFC 9110 §10.1.5) to what helps to recognize a client."""

import re
import string
from typing import Final

from shared.runtime.process.redaction import Redact

MAX_LENGTH: Final = 100
MAX_READ: Final = 512
"""Characters that are read. A word that this cuts is dropped, for it may be the beginning of a secret."""

_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_OF_WORDS: Final = string.ascii_letters + string.digits + "_%"


def shorten_user_agent(text: str, redact: Redact) -> str | None:
    """Return up to 100 printable ASCII characters without secrets; `None` if there are none."""
    read = text[:MAX_READ]
    if len(read) == MAX_READ:
        read = read.rstrip(_OF_WORDS)
    return redact(_UNPRINTABLE.sub("?", read))[:MAX_LENGTH].strip() or None
