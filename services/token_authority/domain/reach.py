"""What scopes come to, written so that an index finds the tokens that touch a place.

A scope `polls:read:PLAT/PLAT-1` makes the marks `read:PLAT/PLAT-1/`, where it is, and `read>` and `read>PLAT/`, which
it lies below. Each name in a path ends in a slash, so that a mark begins with another only where it lies below it.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from shared.contract.scope import Action, Scope


def reach_of(scopes: Iterable[Scope]) -> list[str]:
    """The marks of a token with these scopes."""
    marks = set()
    for scope in scopes:
        for action in scope.actions:
            marks.add(_at(action, scope.path))
            marks.update(_below(action, scope.path[:depth]) for depth in range(len(scope.path)))
    return sorted(marks)


def touching(scope: Scope) -> list[str]:
    """The marks of which a token has one that can do something `scope` speaks of."""
    marks = set()
    for action in scope.actions:
        marks.add(_below(action, scope.path))
        marks.update(_at(action, scope.path[:depth]) for depth in range(len(scope.path) + 1))
    return sorted(marks)


def covering(scopes: Iterable[Scope]) -> list[str]:
    """Beginnings: scopes lie within these where each of their marks with a colon begins with one of them."""
    return sorted({_at(action, scope.path) for scope in scopes for action in scope.actions})


def reaching(scopes: Iterable[Scope]) -> list[str]:
    """The marks of which a token that lies within these scopes has one; so an index knows all that may do so."""
    marks = set()
    for scope in scopes:
        for action in scope.actions:
            marks |= {_at(action, scope.path), _below(action, scope.path)}
    return sorted(marks)


EVERYWHERE: Final = [f"{action}:" for action in sorted(Action)]
"""The marks of which a token has one that can do something everywhere."""


def _at(action: Action, path: tuple[str, ...]) -> str:
    return f"{action}:{_written(path)}"


def _below(action: Action, path: tuple[str, ...]) -> str:
    return f"{action}>{_written(path)}"


def _written(path: tuple[str, ...]) -> str:
    return "".join(f"{quote(segment, safe='')}/" for segment in path)
