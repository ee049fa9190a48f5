"""Where in Redis the requests that a limit is held against are counted."""

from typing import Final

_LIMIT_KEYS: Final = "pollgate:limit"


def limit_keys(service: str) -> str:
    """What all keys of one service start with, before a colon, so that its Redis user can be kept to them."""
    return f"{_LIMIT_KEYS}:{service}"
