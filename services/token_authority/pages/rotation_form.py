"""How the new secret of a token, a service or an administrator replaces the older ones, in a form."""

from typing import Final

from services.token_authority.domain.errors import InvalidValue, TooManySecrets
from services.token_authority.payloads.token_requests import RotateSecret
from shared.runtime.pages.forms import Form

OVERLAPS: Final = (
    ("0", "It ends at once"),
    ("3600", "For 1 hour"),
    ("86400", "For 1 day"),
    ("604800", "For 7 days"),
    ("2592000", "For 30 days"),
)
"""The choices of an overlap in seconds, each with its label."""
DEFAULT: Final = RotateSecret()


def read_rotation(form: Form) -> RotateSecret:
    """Return how the new secret replaces the older ones. Raise `InvalidValue`.

    Without an overlap the older ones end at once, whatever the box for their end says.
    """
    text = form.text("overlap_s") or str(DEFAULT.overlap_s)
    if text not in dict(OVERLAPS):
        raise InvalidValue(("overlap_s",), "choose how long the old secret works")
    overlap_s = int(text)
    return RotateSecret(overlap_s, overlap_s > 0 and form.has("end_on_use"))


def explain_too_many_secrets(error: TooManySecrets) -> dict[str, str]:
    """Return what the form says at the field of the overlap when no further secret can be added."""
    return {"overlap_s": f"{error}. Wait until one ends, or let them end now."}
