"""Read a secret as a client has sent it, and describe one that cannot work. Every reader of a secret uses this module.

Whitespace around a secret is removed: scripts send a line feed by accident, and no secret contains whitespace
(RFC 6749 appendix A), so it cannot mean another one. Nothing else is removed. `docs/decisions/012` has the reasons.
"""

import re
from typing import Final

from shared.contract.token import SECRET_NAMES, SECRET_PATTERN, Prefix, find_prefix

MAX_CHECKSUMS: Final = 10
"""Candidates in one text whose checksums are computed: callers choose the text."""
_RESEMBLING: Final = re.compile(r"pg[alst](?:_|%(?:25){0,4}5[Ff])[0-9A-Za-z]{6}")
"""Matches the beginning of a secret, also with an underscore that is percent-encoded once or several times."""


def trim_secret(text: str) -> str:
    """Return a secret without the whitespace around it."""
    return text.strip()


def contains_secret(text: str) -> bool:
    """Return whether a well-formed secret of any kind is in the text, or so many candidates that one may be."""
    for number, match in enumerate(SECRET_PATTERN.finditer(text)):
        if number == MAX_CHECKSUMS or find_prefix(match.group()) is not None:
            return True
    return False


def resembles_secret(text: str) -> bool:
    """Return whether a secret, or the beginning of one, is in the text."""
    return _RESEMBLING.search(text) is not None


def describe_flaw(secret: str, expected: Prefix) -> str | None:
    """Return why a trimmed text is not a secret of the expected kind; `None` if it is well-formed.

    The description depends on the text alone, and not on which secrets exist.
    """
    kind = find_prefix(secret)
    if kind == expected:
        return None
    name = SECRET_NAMES[expected]
    the_name, form = name.partition(" ")[2], f"{expected}_ and 38 letters and digits"
    if kind is not None:
        return f"This is {SECRET_NAMES[kind]}, not {name}: send {form}."
    if contains_secret(secret):
        return f"The {the_name} has other characters around it, such as quotes: send {form}, and nothing else."
    if resembles_secret(secret):
        return f"The {the_name} is mistyped or cut off: it must be {form}, of which the last six are a checksum."
    return f"This is not {name}: send {form}."
