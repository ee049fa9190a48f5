"""What an administrator can do about each kind of finding: the pages that answer it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.token_authority.domain.review import FindingKind


class Answer(NamedTuple):
    """A page of the token that answers a finding."""

    title: str
    page: str


_REVOKE: Final = Answer("Revoke", "revoke")
_DISABLE: Final = Answer("Disable", "disable")
_NARROW: Final = Answer("Narrow its scopes", "edit#scopes")
_RENEW: Final = Answer("Rotate with a new expiry", "rotate")
_EXPIRE: Final = Answer("Give it an expiry", "edit#expires")
_ROTATE: Final = Answer("Rotate", "rotate")

ANSWERS: Final[Mapping[FindingKind, tuple[Answer, ...]]] = {
    "unused": (_DISABLE, _REVOKE),
    "never_used": (_REVOKE, _EXPIRE),
    "never_expires": (_EXPIRE,),
    "reaches_any": (_NARROW, _REVOKE),
    "expiring": (_RENEW,),
    "rotated_secret_in_use": (_ROTATE, _REVOKE),
    "owner_inactive": (_REVOKE, Answer("Give it another owner", "edit#owner")),
}
"""The usual answer first."""

TITLES: Final[Mapping[FindingKind, str]] = {
    "unused": "Not used for a long time",
    "never_used": "Never used",
    "never_expires": "Never expires",
    "reaches_any": "Every workspace",
    "expiring": "Expires soon",
    "rotated_secret_in_use": "Replaced secret in use",
    "owner_inactive": "Owner no longer active",
}
