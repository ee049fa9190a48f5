"""The paths of the pages."""

import re
from typing import Final
from urllib.parse import unquote, urlencode
from uuid import UUID

from shared.contract.presented_secret import resembles_secret

STATIC: Final = "/p/static"
POLL_ROOT: Final = "/p"
"""`/p/{secret}` opens a voting link, and `/p/{id}` is the page of the link with this id."""
MANAGE: Final = "/manage"
SIGN_IN: Final = "/manage/sign-in"
SIGN_OUT: Final = "/manage/sign-out"
POLLS: Final = "/manage/polls"
NEW_POLL: Final = "/manage/polls/new"
SEARCH: Final = "/manage/polls/search"
FIND_LINKS: Final = "/manage/polls/find-links"
PREVIEW: Final = "/manage/polls/preview"

_INSIDE: Final = re.compile(
    r"/manage/polls(?:/[A-Za-z0-9_-]{1,100}){0,3}(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,2000})?"
)


def is_inside(path: str) -> bool:
    """Return whether a path with a query is one of a page for which one has to be signed in."""
    return _INSIDE.fullmatch(path) is not None


def poll_path(poll_id: UUID, page: str = "") -> str:
    """Return the path where a poll is managed, or of a page about it."""
    return f"{POLLS}/{poll_id}/{page}" if page else f"{POLLS}/{poll_id}"


def voting_path(link_id: UUID, page: str = "") -> str:
    """Return the path where people vote by a link, or of what belongs to that page."""
    return f"{POLL_ROOT}/{link_id}/{page}" if page else f"{POLL_ROOT}/{link_id}"


def sign_in_path(wanted: str = "", **query: str) -> str:
    """Return the path to sign in, and from there to go to the wanted page. Leave out one with a secret in it."""
    then = {"next": wanted} if wanted and not resembles_secret(unquote(wanted)) else {}
    parameters = {**query, **then}
    return f"{SIGN_IN}?{urlencode(parameters, safe='/')}" if parameters else SIGN_IN


def is_manage(path: str) -> bool:
    """Return whether a path is that of a page to manage polls."""
    return path == MANAGE or path.startswith(f"{MANAGE}/")


def is_page(path: str) -> bool:
    """Return whether a path is that of a page for people."""
    return is_manage(path) or path.startswith(f"{POLL_ROOT}/")
