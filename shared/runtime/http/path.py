"""Read a path segment as text or UUID strictly: aiohttp's router accepts malformed escapes."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from aiohttp import web

from shared.runtime.http.problem import BadRequest, ErrorDetail

MAX_TEXT_LENGTH: Final = 255


def path_text(request: web.Request, name: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return the text of the segment `{name}` of the route's template. It may contain an encoded slash.

    Raise `BadRequest` if it is not percent-encoded UTF-8, contains NUL, or is not 1 to `max_length` characters long.
    """
    raw_path = request.rel_url.raw_path
    is_plain = "%" not in raw_path and raw_path.isascii()
    text = request.match_info[name] if is_plain else _decode_segment(request, name)
    if not 0 < len(text) <= max_length:
        raise _invalid_segment(name, f"expected text of 1 to {max_length} characters, got {len(text)}")
    return text


def path_uuid(request: web.Request, name: str) -> UUID | None:
    """Return the UUID in the segment for `{name}`, in either case, or `None` if the segment is not a UUID."""
    return read_uuid(request.match_info[name])  # what aiohttp cannot decode is no UUID


def require_path_uuid(request: web.Request, name: str, error: type[Exception]) -> UUID:
    """Return the UUID in the segment for `{name}`, in either case. Raise `error` if the segment is not a UUID."""
    found = path_uuid(request, name)
    if found is None:
        raise error
    return found


def read_uuid(text: str) -> UUID | None:
    """Return the UUID in canonical form with hyphens, in upper or lower case; `None` if the text is none."""
    return _read_uuid(text) if len(text) == _UUID_LENGTH else None


@lru_cache(4096)
def _read_uuid(text: str) -> UUID | None:
    return UUID(text) if _UUID.fullmatch(text) else None


def has_bad_escape(text: str) -> bool:
    """Return whether a '%' is not followed by two hexadecimal digits. urllib would keep it, and take long for many."""
    return _BAD_ESCAPE.search(text) is not None


_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UUID_LENGTH: Final = 36
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def _decode_segment(request: web.Request, name: str) -> str:
    segment = _raw_segment(request, name)
    if has_bad_escape(segment):
        raise _invalid_segment(name, "malformed percent-encoding; write '%' as %25")
    try:
        text = unquote_to_bytes(segment.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise _invalid_segment(name, "expected percent-encoded UTF-8") from None
    if "\0" in text:
        raise _invalid_segment(name, "remove the NUL character")
    return text


def _raw_segment(request: web.Request, name: str) -> str:
    """Return the segment as sent. Raise `KeyError` if the template has no segment `{name}`."""
    resource = request.match_info.route.resource
    template = resource.canonical.split("/") if resource is not None else []
    if f"{{{name}}}" not in template:
        raise KeyError(name)
    return request.rel_url.raw_path.split("/")[template.index(f"{{{name}}}")]


def _invalid_segment(name: str, remedy: str) -> BadRequest:
    return BadRequest(f"Invalid path segment '{name}'.", ErrorDetail(remedy, parameter=name))
