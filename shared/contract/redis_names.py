"""The names in Redis that the authority and guards share, and that the access rights of their Redis users contain."""

from typing import Final

CHANGES_CHANNEL: Final = "pollgate:changes"
"""The channel on which the authority pushes changes; each message is one Security Event Token (RFC 8417)."""

_RATE_LIMIT_PREFIX: Final = "pollgate:limit"
_TICKET_PREFIX: Final = "pollgate:ticket"


def rate_limit_prefix(service: str) -> str:
    """Return the prefix, up to a colon, of all keys under which a service counts requests against rate limits.

    Each service has a prefix of its own, so that its Redis user can be restricted to it.
    """
    return f"{_RATE_LIMIT_PREFIX}:{service}"


def ticket_prefix(service: str) -> str:
    """Return the prefix, up to a colon, of all keys under which a service stores its stream tickets."""
    return f"{_TICKET_PREFIX}:{service}"
