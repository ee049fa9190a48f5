"""Why a token was ended."""

from typing import Literal

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue

ReasonKind = Literal["leaked", "unneeded", "rotated", "owner_left", "policy", "other"]
MAX_TEXT_LENGTH = 500


class Reason(Struct, frozen=True):
    """One of the usual reasons, with what else there is to say; `other` says it in words."""

    kind: ReasonKind
    text: str | None = None


def reason(kind: ReasonKind, text: str | None) -> Reason:
    """Check a reason. Raises `InvalidValue`."""
    if text is not None and not (0 < len(text) <= MAX_TEXT_LENGTH and text.isprintable() and not text.isspace()):
        raise InvalidValue(("text",), f"1 to {MAX_TEXT_LENGTH} characters without control characters, or leave it out")
    if kind == "other" and text is None:
        raise InvalidValue(("text",), "say in words why, or choose another reason")
    return Reason(kind, text)
