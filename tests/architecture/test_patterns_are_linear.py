"""No regular expression of the code takes quadratic time, whatever text it is applied to."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import NamedTuple

import pytest

import pollgate
import services
import shared
from tests.support.processor_time import is_quick

SIZE = 32 * 1024
MOST_S = 0.2
"""Processor time. A linear pattern takes a few milliseconds, a quadratic one takes half a second or more."""
PIECES = [
    *(" - at `$", "`$", "a", "A", "0", " ", "\t", ",", ", ", '"', '""', '","', 'W/"', "\\", '\\"', "%", "%4", "%41"),
    *(".", ".a", "a.", "-", "-1", "[", "[1", "[1]", "{a}", "$", "`", ";", "=", "\n", "pgt_", "é", "1.", "0:"),
]


@pytest.mark.parametrize("package", [services, shared, pollgate], ids=lambda package: package.__name__)
def test_every_pattern_takes_linear_time_as_it_is_used(package: ModuleType) -> None:
    slow = [
        (use.name, piece)
        for use in _uses_in(package)
        for piece in _pieces_of(use.pattern)
        if not is_quick(partial(_apply, use, piece), MOST_S)
    ]

    assert not slow


def test_quadratic_pattern_is_noticed() -> None:
    pattern = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)

    assert not is_quick(partial(_apply, _Use("PATTERN", pattern, "fullmatch"), " - at `$"), MOST_S)


class _Use(NamedTuple):
    """A pattern of a module, and the method of it that the module calls."""

    name: str
    pattern: re.Pattern[str]
    method: str


def _uses_in(package: ModuleType) -> Iterator[_Use]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                for method in set(re.findall(rf"\b{name}\.(\w+)\(", inspect.getsource(module))):
                    yield _Use(f"{found.name}.{name}.{method}", value, method)


def _pieces_of(pattern: re.Pattern[str]) -> list[str]:
    """Return pieces of text that may keep the pattern busy, with the plain characters in it."""
    return [*dict.fromkeys([*PIECES, *(character for character in pattern.pattern if character.isprintable())])]


def _apply(use: _Use, piece: str) -> None:
    text = piece * (SIZE // len(piece)) + "\x01"
    if use.method == "sub":
        use.pattern.sub("", text)
    else:
        found = getattr(use.pattern, use.method)(text)
        if use.method == "finditer":
            list(found)
