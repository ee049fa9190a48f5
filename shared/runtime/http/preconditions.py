"""Conditions on what a resource is like now: `If-Match` and `If-None-Match` (RFC 9110 §13.1), read strictly.

An entity tag is passed as the `ETag` header has it, in its quotes; `None` stands for a resource that is not there.
"""

import re
from typing import Final, NamedTuple

from aiohttp import web

from shared.runtime.http.problem import BadRequest


class IfMatch(NamedTuple):
    """Do it only where the resource is one of these; `*` for any that there is. Weak tags match nothing."""

    tags: frozenset[str]

    def allows(self, etag: str | None) -> bool:
        """Whether to go on with a resource that has this tag (§13.1.1)."""
        if etag is None:
            return False
        return _ANY in self.tags or (etag in self.tags and not etag.startswith(_WEAK))


class IfNoneMatch(NamedTuple):
    """Do it only where the resource is none of these; `*` for none that there is."""

    tags: frozenset[str]

    def allows(self, etag: str | None) -> bool:
        """Whether to go on with a resource that has this tag (§13.1.2)."""
        if etag is None:
            return True
        return _ANY not in self.tags and etag.removeprefix(_WEAK) not in {tag.removeprefix(_WEAK) for tag in self.tags}


def if_match(request: web.Request) -> IfMatch | None:
    """The request's condition, if it has one. Raises `BadRequest`."""
    tags = _tags(request, "If-Match")
    return None if tags is None else IfMatch(tags)


def read_if_match(text: str) -> IfMatch:
    """The condition that a field of a body is, written as the header has it. Raises `BadRequest`."""
    return IfMatch(_read(text, "If-Match"))


def if_none_match(request: web.Request) -> IfNoneMatch | None:
    """The request's condition, if it has one. Raises `BadRequest`."""
    tags = _tags(request, "If-None-Match")
    return None if tags is None else IfNoneMatch(tags)


def not_modified(request: web.Request, etag: str) -> bool:
    """Whether a GET is to be answered 304, for the caller has what has this tag. Raises `BadRequest`."""
    condition = if_none_match(request)
    return condition is not None and not condition.allows(etag)


_ANY: Final = "*"
_WEAK: Final = "W/"
_TAG: Final = r'(?:W/)?"[!\x23-\x7e\x80-\U0010ffff]*"'
_FIRST_TAG: Final = re.compile(rf"[ \t]*+(?:,[ \t]*+)*+({_TAG})[ \t]*+(?=,|\Z)")
_FOLLOWING: Final = re.compile(rf",[ \t]*+({_TAG})?[ \t]*+(?=,|\Z)")
"""Neither takes spaces back once they are matched, or a body with many of them would be read for minutes."""


def _tags(request: web.Request, header: str) -> frozenset[str] | None:
    """Several lines are one list (RFC 9110 §5.3); a list may have empty places (§5.6.1)."""
    lines = request.headers.getall(header, None)
    if lines is None:
        return None
    return _read(",".join(lines), header)


def _read(text: str, header: str) -> frozenset[str]:
    if text.strip(" \t") == _ANY:
        return frozenset({_ANY})
    tags: set[str] = set()
    match = _FIRST_TAG.match(text)
    while match:
        tags.update(tag for tag in match.groups() if tag)
        if match.end() == len(text):
            return frozenset(tags)
        match = _FOLLOWING.match(text, match.end())
    raise BadRequest(
        f"The header {header} is '*', or entity tags as the ETag header has them, in quotes and with commas between: "
        f'{header}: "1", W/"2".'
    )
