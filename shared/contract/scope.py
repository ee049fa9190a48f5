"""The grammar of scopes, `polls:<actions>:<selector>`, and the comparison of scopes and places.

Actions are comma-separated names, or `*`: every action, including those that a later release adds. A selector is `*`
or a path of one to three segments, workspace, content and container; it covers everything below the path. In a segment,
every character except `A-Z a-z 0-9 - . _ ~` is percent-encoded UTF-8, so a scope is one scope-token of RFC 6749 §3.3
and needs no other escaping.
"""

import enum
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

MAX_SCOPE_LENGTH: Final = 1024
"""In characters, as written."""


class Action(enum.StrEnum):
    """An action on polls."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    VOTE = "vote"
    RESULTS = "results"


ALL_ACTIONS: Final = frozenset(Action)
WILDCARD: Final = "*"

Path = tuple[str, ...]
"""The names of workspace, content and container, from the widest on; the empty path is everywhere."""


class ScopeError(ValueError):
    """The text is not a scope. `position` is the index of the first wrong character."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"at character {position + 1}: {reason}")
        self.position = position


class Place(Struct, frozen=True):
    """The place of a poll: a Jira issue (no container) or a macro on a Confluence page."""

    workspace: str
    content: str
    container: str = ""

    @property
    def path(self) -> tuple[str, ...]:
        """The place as a selector's path, from the widest segment to the narrowest."""
        path = (self.workspace, self.content)
        return (*path, self.container) if self.container else path


class Scope(Struct, frozen=True):
    """Actions that are allowed at one path and below it; the empty path is everywhere.

    `is_wildcard`: the actions were written as `*`, which includes those of later releases. A list of all names does
    not.
    """

    actions: frozenset[Action]
    path: tuple[str, ...]
    is_wildcard: bool = False

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Read one scope. Raise `ScopeError`."""
        if len(text) > MAX_SCOPE_LENGTH:
            raise ScopeError(MAX_SCOPE_LENGTH, f"a scope has at most {MAX_SCOPE_LENGTH} characters")
        resource, colon, rest = text.partition(":")
        if resource != "polls" or not colon:
            raise ScopeError(0, "a scope starts with 'polls:', as in 'polls:read,create:PLAT'")
        actions, colon, selector = rest.partition(":")
        start_of_actions = len("polls:")
        if not colon:
            raise ScopeError(len(text), "missing selector; add ':*' for everywhere or ':PLAT' for one workspace")
        start_of_selector = start_of_actions + len(actions) + 1
        path = _parse_selector(selector, start_of_selector)
        return cls(_parse_actions(actions, start_of_actions), path, actions == WILDCARD)

    def __str__(self) -> str:
        """Return the canonical form: the actions in the order of `Action`, only the necessary characters encoded."""
        actions = WILDCARD if self.is_wildcard else ",".join(action for action in Action if action in self.actions)
        selector = "/".join(quote(segment, safe="") for segment in self.path) or "*"
        return f"polls:{actions}:{selector}"

    def covers(self, action: Action, place: Place) -> bool:
        """Return whether this scope allows `action` at `place`."""
        return action in self.actions and (not self.path or place.path[: len(self.path)] == self.path)

    def includes(self, other: "Scope", action: Action) -> bool:
        """Return whether this scope allows `action` at every place of `other`."""
        return action in self.actions and other.path[: len(self.path)] == self.path


def find_excess_scope(scopes: Iterable[Scope], limits: Iterable[Scope]) -> Scope | None:
    """Return the part of the first scope that exceeds `limits`, or `None` if all `scopes` are within `limits`.

    Only a wildcard includes a wildcard.
    """
    limits = tuple(limits)
    for scope in scopes:
        excess = frozenset(each for each in scope.actions if not any(limit.includes(scope, each) for limit in limits))
        if excess:
            return Scope(excess, scope.path, scope.is_wildcard and excess == ALL_ACTIONS)
        if scope.is_wildcard and not any(limit.is_wildcard and _is_within(scope.path, limit.path) for limit in limits):
            return scope
    return None


def intersect_paths(requested: Path, allowed: Iterable[Path]) -> list[Path]:
    """Return the widest paths that lie within `requested` and within one of `allowed`; none lies within another."""
    common = {
        max(requested, path, key=len) for path in allowed if _is_within(requested, path) or _is_within(path, requested)
    }
    return sorted(path for path in common if not any(path != other and _is_within(path, other) for other in common))


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """Read the space-separated scopes of an introspection answer. Raise `ScopeError`."""
    return tuple(parse_scope(part) for part in text.split(" ") if part)


@lru_cache(4096)
def parse_scope(text: str) -> Scope:
    """Do what `Scope.parse` does, and remember the result: few scopes occur in many tokens."""
    return Scope.parse(text)


def format_scopes(scopes: Iterable[Scope]) -> str:
    """Return the scopes as one `scope` string (RFC 6749 §3.3)."""
    return " ".join(map(_format_scope, scopes))


@lru_cache(4096)
def _format_scope(scope: Scope) -> str:
    return str(scope)


def _is_within(path: Path, other: Path) -> bool:
    return path[: len(other)] == other


def _parse_actions(text: str, start: int) -> frozenset[Action]:
    if text == WILDCARD:
        return ALL_ACTIONS
    actions: set[Action] = set()
    position = start
    for name in text.split(","):
        if name not in ALL_ACTIONS:
            raise ScopeError(position, f"an action is one of {', '.join(Action)}, or '*' for all")
        if name in actions:
            raise ScopeError(position, f"duplicate action '{name}'")
        actions.add(Action(name))
        position += len(name) + 1
    return frozenset(actions)


_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+")
_MAX_SEGMENTS: Final = 3


def _parse_selector(text: str, start: int) -> tuple[str, ...]:
    if text == "*":
        return ()
    path: list[str] = []
    position = start
    for segment in text.split("/"):
        if len(path) == _MAX_SEGMENTS:
            raise ScopeError(position, "a selector has at most three segments: workspace/content/container")
        path.append(_parse_segment(segment, position))
        position += len(segment) + 1
    return tuple(path)


def _parse_segment(text: str, position: int) -> str:
    if not text:
        raise ScopeError(position, "missing name of a workspace, content or container")
    match = _SEGMENT.match(text)
    matched = match.end() if match else 0
    if matched < len(text):
        reason = "percent-encode every character except A-Z a-z 0-9 - . _ ~; '*' is only allowed alone"
        raise ScopeError(position + matched, reason)
    try:
        name = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ScopeError(position, "the percent-encoded bytes are not UTF-8") from None
    if "\0" in name:
        raise ScopeError(position, "the NUL character cannot be part of a name")
    return name
