"""The `WWW-Authenticate` challenge of a refused request (RFC 6750 §3), which leads to the metadata (RFC 9728 §5.1)."""

from collections.abc import Mapping
from typing import Final

from shared.guard.errors import (
    AddressNotAllowed,
    GuardError,
    InsufficientScope,
    QueryNotAllowed,
    QueryOfPage,
    QueryUnreadable,
    TicketInvalid,
    TokenInvalid,
    TokenMissing,
    TokenTwice,
)
from shared.guard.metadata import metadata_url

_ERRORS: Final[Mapping[type[GuardError], str | None]] = {
    TokenMissing: None,
    TokenInvalid: "invalid_token",
    TokenTwice: "invalid_request",
    QueryUnreadable: "invalid_request",
    QueryNotAllowed: None,
    QueryOfPage: None,
    TicketInvalid: None,
    AddressNotAllowed: None,
    InsufficientScope: "insufficient_scope",
}
"""The `error` of RFC 6750 §3.1; `None` without credentials, and where no code fits."""


def challenge(error: GuardError, resource_url: str) -> str | None:
    """Return the challenge for a refusal; `None` if no other token would help."""
    if type(error) not in _ERRORS:
        return None
    parameters = {"realm": resource_url, "resource_metadata": metadata_url(resource_url)}
    code = _ERRORS[type(error)]
    if code is not None:
        parameters["error"] = code
    if isinstance(error, InsufficientScope):
        parameters["scope"] = str(error.needed)
    return "Bearer " + ", ".join(f"{name}={_quote(value)}" for name, value in parameters.items())


def _quote(text: str) -> str:
    """Return a quoted-string (RFC 9110 §5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
