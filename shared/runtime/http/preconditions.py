"""Read the preconditions `If-Match` and `If-None-Match` (RFC 9110 §13.1) strictly, and evaluate them.

An entity tag is passed as in the `ETag` header, in its quotes; `None` stands for a resource that does not exist.

aiohttp's `request.if_match` is not used, because it drops a condition that it cannot read, and the write would then
overwrite what the client meant to protect: an empty header counts as absent, only the first of several header lines is
read, a list ends silently at its first malformed tag, and `"*"` in quotes matches any resource as `*` does. It accepts
neither the empty tag `""` nor empty list elements, which the RFC allows.
"""

import re
from typing import Final, NamedTuple

from aiohttp import web

from shared.runtime.http.problem import BadRequest


class IfMatch(NamedTuple):
    """Proceed only if the resource has one of these tags, or for `*` if it exists. Weak tags match nothing."""

    tags: frozenset[str]

    def allows(self, etag: str | None) -> bool:
        """Return whether to proceed with a resource that has this tag (RFC 9110 §13.1.1)."""
        if etag is None:
            return False
        return _ANY in self.tags or (etag in self.tags and not etag.startswith(_WEAK))

    @property
    def has_altered_tag(self) -> bool:
        """Whether one of the tags is as proxies make it of a response that they compress: weak, or with a suffix."""
        return any(tag.startswith(_WEAK) or tag.endswith(_SUFFIXES) for tag in self.tags)


class IfNoneMatch(NamedTuple):
    """Proceed only if the resource has none of these tags, or for `*` if it does not exist."""

    tags: frozenset[str]

    def allows(self, etag: str | None) -> bool:
        """Return whether to proceed with a resource that has this tag (RFC 9110 §13.1.2)."""
        if etag is None:
            return True
        return _ANY not in self.tags and etag.removeprefix(_WEAK) not in {tag.removeprefix(_WEAK) for tag in self.tags}


def if_match(request: web.Request) -> IfMatch | None:
    """Return the request's condition, or `None` without the header. Raise `BadRequest`."""
    tags = _tags(request, "If-Match")
    return None if tags is None else IfMatch(tags)


def read_if_match(text: str) -> IfMatch:
    """Return the condition in a field of a body, which has the syntax of the header. Raise `BadRequest`."""
    return IfMatch(_read(text, "If-Match"))


def if_none_match(request: web.Request) -> IfNoneMatch | None:
    """Return the request's condition, or `None` without the header. Raise `BadRequest`."""
    tags = _tags(request, "If-None-Match")
    return None if tags is None else IfNoneMatch(tags)


def is_not_modified(request: web.Request, etag: str) -> bool:
    """Return whether to answer a GET with 304, because the client has this representation. Raise `BadRequest`."""
    condition = if_none_match(request)
    return condition is not None and not condition.allows(etag)


_ANY: Final = "*"
_WEAK: Final = "W/"
_SUFFIXES: Final = ('-gzip"', '-br"', '-deflate"', '-zstd"', ';gzip"')
"""What Apache and others append to the tag of a response that they compress, before its closing quote."""
_TAG: Final = r'(?:W/)?"[!\x23-\x7e\x80-\U0010ffff]*"'
_FIRST_TAG: Final = re.compile(rf"[ \t]*+(?:,[ \t]*+)*+({_TAG})[ \t]*+(?=,|\Z)")
_FOLLOWING: Final = re.compile(rf",[ \t]*+({_TAG})?[ \t]*+(?=,|\Z)")
"""Possessive quantifiers: with backtracking, a body of many spaces would take minutes."""


def _tags(request: web.Request, header: str) -> frozenset[str] | None:
    """Return the tags; several header lines are one list (RFC 9110 §5.3), which may have empty elements (§5.6.1)."""
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
        f"Invalid {header}: expected '*' or a comma-separated list of entity tags in quotes, such as "
        f'{header}: "1", "2".'
    )
