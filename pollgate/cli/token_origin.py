"""From where a token was used last."""

from pollgate.client import Token


def describe_origin(token: Token) -> str:
    """Return ` from 203.0.113.7 (curl/8.1)`, as far as it is known; an empty text if it is not."""
    address = f" from {token.last_used_address}" if token.last_used_address else ""
    return address + (f" ({token.last_used_user_agent})" if token.last_used_user_agent else "")
