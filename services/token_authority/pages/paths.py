"""The paths of the settings pages."""

import re
from typing import Final
from urllib.parse import quote

from services.token_authority.payloads.sign_in_links import SIGN_IN_LINK_PATH

SETTINGS_ROOT: Final = "/settings"
STATIC: Final = "/settings/static"
SIGN_IN: Final = "/settings/sign-in"
SIGN_IN_LINK: Final = SIGN_IN_LINK_PATH
SIGN_IN_PROVIDER: Final = "/settings/sign-in/provider"
SIGN_IN_CALLBACK: Final = "/settings/sign-in/callback"
SIGN_OUT: Final = "/settings/sign-out"
TOKENS: Final = "/settings/tokens"
REVIEW: Final = "/settings/review"
AUDIT: Final = "/settings/audit"
SERVICES: Final = "/settings/services"
ADMINISTRATORS: Final = "/settings/administrators"
NEW_SERVICE: Final = "/settings/services/_new"
"""No client id begins with `_`."""
NEW_ADMINISTRATOR: Final = "/settings/administrators/new"
SITES: Final = "/settings/sites"

_INSIDE: Final = re.compile(
    r"/settings/(?:tokens|review|audit|services|administrators|sites)(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,3}"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,2000})?"
)
"""No segment is `.` or `..`, and none is encoded, so a path means what it says."""


def is_inside(path: str) -> bool:
    """Return whether a path with a query is one of a settings page for which one has to be signed in."""
    return _INSIDE.fullmatch(path) is not None


def token_path(token_id: str, page: str = "") -> str:
    """Return the path of a token, or of a page about it."""
    return f"{TOKENS}/{token_id}/{page}" if page else f"{TOKENS}/{token_id}"


def service_path(client_id: str, page: str = "") -> str:
    """Return the path of a service, or of a page about it."""
    return f"{SERVICES}/{quote(client_id, safe='')}/{page}".rstrip("/")


def administrator_path(key_id: str, page: str = "") -> str:
    """Return the path of an admin key, or of a page about it."""
    return f"{ADMINISTRATORS}/{quote(key_id, safe='')}/{page}".rstrip("/")


def record_path(seq: int) -> str:
    """Return the path of a record of the audit log."""
    return f"{AUDIT}/{seq}"
