"""Index keys: scopes as texts, so that a PostgreSQL array index finds the tokens whose scopes overlap a place.

The scope `polls:read:PLAT/PLAT-1` has the keys `read:PLAT/PLAT-1/`, its own place, and `read>` and `read>PLAT/`, the
places above it. Each path segment ends in a slash, so one key starts with another only if its place is inside it.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from shared.contract.scope import WILDCARD, Action, Scope


def index_keys(scopes: Iterable[Scope]) -> list[str]:
    """Return the index keys that a token with these scopes is stored with."""
    keys = set()
    for scope in scopes:
        for action in scope.actions:
            keys.add(_key_at(action, scope.path))
            keys.update(_key_above(action, scope.path[:depth]) for depth in range(len(scope.path)))
    return sorted(keys)


def keys_overlapping(scope: Scope) -> list[str]:
    """Return the keys of which a token has at least one if its scopes overlap `scope`."""
    keys = set()
    for action in scope.actions:
        keys.add(_key_above(action, scope.path))
        keys.update(_key_at(action, scope.path[:depth]) for depth in range(len(scope.path) + 1))
    return sorted(keys)


def key_prefixes_within(scopes: Iterable[Scope]) -> list[str]:
    """Return prefixes. A token is within `scopes` if each of its keys with a colon starts with one of them."""
    return sorted({_key_at(action, scope.path) for scope in scopes for action in scope.actions})


def keys_within(scopes: Iterable[Scope]) -> list[str]:
    """Return keys of which every token within `scopes` has at least one: a condition that the index can answer."""
    keys = set()
    for scope in scopes:
        for action in scope.actions:
            keys |= {_key_at(action, scope.path), _key_above(action, scope.path)}
    return sorted(keys)


def wildcard_prefixes(scopes: Iterable[Scope]) -> list[str]:
    """Return prefixes. The wildcards of a token are within `scopes` if each, followed by a slash, starts with one."""
    return sorted({f"polls:{WILDCARD}:{_prefix_of(scope.path)}" for scope in scopes if scope.is_wildcard})


KEYS_EVERYWHERE: Final = [f"{action}:" for action in sorted(Action)]
"""The keys of which a token has at least one if one of its scopes is for every place."""


def _key_at(action: Action, path: tuple[str, ...]) -> str:
    return f"{action}:{_prefix_of(path)}"


def _key_above(action: Action, path: tuple[str, ...]) -> str:
    return f"{action}>{_prefix_of(path)}"


def _prefix_of(path: tuple[str, ...]) -> str:
    return "".join(f"{quote(segment, safe='')}/" for segment in path)
