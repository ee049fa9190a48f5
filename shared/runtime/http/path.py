"""A segment of a request's path as text or UUID, read strictly: the router's own reading lets odd escapes through."""

import re
from contextlib import suppress
from typing import Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from aiohttp import web

from shared.runtime.http.problem import BadRequest, ErrorDetail

MAX_TEXT_LENGTH: Final = 255


def path_text(request: web.Request, name: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """The text of the segment that stands for `{name}` in the route's template; an encoded slash is part of it.

    Raises `BadRequest` where it is not percent-encoded UTF-8, holds NUL, or is not 1 to `max_length` characters long.
    """
    segment = _raw_segment(request, name)
    if _BAD_ESCAPE.search(segment):
        raise _wrong(name, "write '%' as %25, and other characters as % and two hexadecimal digits for each byte")
    try:
        text = unquote_to_bytes(segment.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise _wrong(name, "percent-encode the text's UTF-8 bytes") from None
    if "\0" in text:
        raise _wrong(name, "remove the NUL character")
    if not 0 < len(text) <= max_length:
        raise _wrong(name, f"expected text of 1 to {max_length} characters, got {len(text)}")
    return text


def path_uuid(request: web.Request, name: str) -> UUID | None:
    """The UUID in the segment that stands for `{name}`, in either case; `None` for whatever is written differently."""
    with suppress(BadRequest):
        return read_uuid(path_text(request, name))
    return None


def read_uuid(text: str) -> UUID | None:
    """The UUID that the text is, in either case, with its hyphens; `None` for whatever is written differently."""
    return UUID(text) if _UUID.fullmatch(text) else None


_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def _raw_segment(request: web.Request, name: str) -> str:
    """As it was sent. Raises `KeyError` where no segment of the template is `{name}`."""
    resource = request.match_info.route.resource
    template = resource.canonical.split("/") if resource is not None else []
    if f"{{{name}}}" not in template:
        raise KeyError(name)
    return request.rel_url.raw_path.split("/")[template.index(f"{{{name}}}")]


def _wrong(name: str, remedy: str) -> BadRequest:
    return BadRequest(f"The path's '{name}' cannot be read.", ErrorDetail(remedy, parameter=name))
