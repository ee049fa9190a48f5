"""Why a token was revoked."""

from typing import Final, Literal

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token_fields import validate_text

ReasonKind = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]
MAX_TEXT_LENGTH: Final = 500


class Reason(Struct, frozen=True):
    """A kind of reason with an optional text, which `other` requires."""

    kind: ReasonKind
    text: str | None = None


def new_reason(kind: ReasonKind, text: str | None) -> Reason:
    """Return a valid reason. Raise `InvalidValue`."""
    if text is not None:
        text = validate_text("text", text, MAX_TEXT_LENGTH)
    if kind == "other" and text is None:
        raise InvalidValue(("text",), "is required with the reason 'other'")
    return Reason(kind, text)
