"""The form to rotate the secret of a service or of an administrator."""

from typing import Final

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.pages.token_rotate import OVERLAPS
from services.token_authority.payloads.token_requests import RotateSecret
from shared.runtime.pages.forms import Form

DEFAULT: Final = RotateSecret()


def read_rotation(form: Form) -> RotateSecret:
    """Return how the new secret replaces the older ones. Raise `InvalidValue`."""
    text = form.text("overlap_s") or str(DEFAULT.overlap_s)
    if text not in dict(OVERLAPS):
        raise InvalidValue(("overlap_s",), "choose how long the old secret works")
    overlap_s = int(text)
    return RotateSecret(overlap_s, overlap_s > 0 and form.has("end_on_use"))
