"""Why a token was ended."""

from typing import Final, Literal

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token_fields import checked_text

ReasonKind = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]
MAX_TEXT_LENGTH: Final = 500


class Reason(Struct, frozen=True):
    """One of the usual reasons, with what else there is to say; `other` says it in words."""

    kind: ReasonKind
    text: str | None = None


def reason(kind: ReasonKind, text: str | None) -> Reason:
    """Check a reason. Raises `InvalidValue`."""
    if text is not None:
        checked_text("text", text, MAX_TEXT_LENGTH)
    if kind == "other" and text is None:
        raise InvalidValue(("text",), "say in words why, or choose another reason")
    return Reason(kind, text)
