"""Require that a JSON body is I-JSON (RFC 7493), so that any two parsers read it alike.

The whole text is checked, including fields that are ignored. The time is linear in the size of the body, also if it is
refused; `make bench` measures the worst bodies. So whatever happens for each character and nearly everything that
happens for each value happens in C: objects are decoded as tuples of their fields, which keeps duplicates.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, chain, islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.validation_errors import MAX_DEPTH, MAX_ERRORS, pointer_to

MAX_VALUES: Final = 6_000
"""How many values a body may have: the number of its commas and of its opening brackets, outside of strings."""
LEAST_INT64: Final = -(2**63)
MOST_INT64: Final = 2**63 - 1

_Fields = Sequence[tuple[str, Any]]
"""The names and values of an object, also those of a repeated name."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def require_i_json(body: bytes) -> bool:
    """Return whether the body contains an integer of more than 64 bits, which not every parser can represent.

    Raise `BadRequest` unless the body is I-JSON: UTF-8 without a byte order mark, JSON, no unpaired surrogate, nested
    no deeper than `MAX_DEPTH`, of at most `MAX_VALUES` values, and no duplicate name in an object. Duplicate names are
    pointed at.
    """
    text = _text(body)
    _require_few_values(body)
    integers: list[str] = []
    objects: list[_Fields] = []
    levels: Sequence[_Level] = ()

    def keep(fields: _Fields) -> _Fields:
        objects.append(fields)
        return tuple(fields)

    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:  # it has few objects and is not nested too deeply
        value = _decode(text, integers.append, keep)
    else:
        value = _decode(text, integers.append)
        levels = list(_levels(value))
        objects += chain.from_iterable(level.objects for level in levels)
    _require_paired_surrogates(body, text)
    objects = [fields for fields in objects if len(fields) > 1]
    if sum(map(len, map(dict, objects))) < sum(map(len, objects)):
        errors = [
            ErrorDetail("duplicate name; keep one", pointer=pointer_to(path))
            for path in _find_duplicates(levels or list(_levels(value)))
        ]
        raise BadRequest("The body contains an object with a duplicate name.", *errors)
    return max(map(len, integers), default=0) >= _LEAST_WIDE_LENGTH and not all(map(_is_narrow, integers))


def find_wide_numbers(document: bytes) -> Sequence[Sequence[str]]:
    """Return the paths to the first `MAX_ERRORS` integers of more than 64 bits in a JSON document."""
    value = _decode(document.decode(), int)
    if _is_wide(value):
        return [[]]
    levels = list(_levels(value))
    wide = (
        (container, step)
        for container in chain.from_iterable(level.containers for level in levels)
        for step, value in _members(container)
        if _is_wide(value)
    )
    return _paths(wide, levels)


def _text(body: bytes) -> str:
    if body.startswith(_BYTE_ORDER_MARK):
        raise BadRequest("The body begins with a byte order mark, EF BB BF; send UTF-8 without one.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: invalid byte at position {error.start + 1}.") from None


def _require_few_values(body: bytes) -> None:
    """Raise `BadRequest` for more than `MAX_VALUES` values, before anything is decoded."""
    if _count_values(body) <= MAX_VALUES:
        return
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    has_many_strings = unescaped.count(b'"') > 4 * MAX_VALUES  # two quotes for each value, and two for its name
    if has_many_strings or _count_values(b"".join(unescaped.split(b'"')[::2])) > MAX_VALUES:
        raise BadRequest(f"The body has more than {MAX_VALUES:,} values; send fewer at once.")


def _count_values(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _decode(text: str, parse_int: Callable[[str], Any], read_object: Callable[["_Fields"], Any] = tuple) -> Any:
    decoder = json.JSONDecoder(
        object_pairs_hook=read_object, parse_int=parse_int, parse_float=len, parse_constant=_refuse_constant
    )
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        if not text:
            raise BadRequest("The body is empty.") from None
        place = f"at line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not JSON: {error.msg}, {place}.") from None
    except RecursionError:
        raise _too_deep() from None


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not JSON: {name} is not a JSON number.")


_LEAST_WIDE_LENGTH: Final = 19
"""No integer of fewer digits has more than 64 bits."""


def _is_narrow(digits: str) -> bool:
    return len(digits) < _LEAST_WIDE_LENGTH or (len(digits) <= 20 and not _is_wide(int(digits)))


def _is_wide(value: Any) -> bool:
    return isinstance(value, int) and not LEAST_INT64 <= value <= MOST_INT64


_SURROGATE: Final = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F]..)", re.DOTALL
)
"""An escape of half of a pair: a high surrogate without a low one after it, or a low one without a high one before."""


def _require_paired_surrogates(body: bytes, text: str) -> None:
    """Raise `BadRequest` for an escape of an unpaired surrogate. The body must be JSON, and `text` its text.

    msgspec refuses these too, and is faster. It refuses more, such as some numbers, so the search has the last word.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return
    with suppress(msgspec.DecodeError):
        msgspec.json.decode(body)
        return
    found = _SURROGATE.search(text.replace("\\\\", "--"))
    if found:
        escape = text[found.start() : found.start() + 6]
        raise BadRequest(f"The body contains half of a surrogate pair, {escape}, at character {found.start() + 1}.")


_CONTAINERS: Final = frozenset({list, tuple})


class _Level(NamedTuple):
    """The objects and arrays of one depth."""

    arrays: Sequence[list[Any]]
    objects: Sequence[tuple[tuple[str, Any], ...]]

    @property
    def containers(self) -> Sequence[Any]:
        """The arrays and the objects, in the order in which `values` has the values inside them."""
        return [*self.arrays, *self.objects]

    @property
    def values(self) -> Sequence[Any]:
        """The values inside the arrays and objects."""
        return [*chain.from_iterable(self.arrays), *map(itemgetter(1), chain.from_iterable(self.objects))]


def _levels(value: Any) -> Iterator[_Level]:
    """Yield each depth of the value, from the outermost. Raise `BadRequest` beyond `MAX_DEPTH`."""
    values: Sequence[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        if _CONTAINERS.isdisjoint(map(type, values)):
            return
        level = _Level(
            [each for each in values if type(each) is list], [each for each in values if type(each) is tuple]
        )
        yield level
        values = level.values
    raise _too_deep()


def _members(container: Any) -> Iterable[tuple[Any, Any]]:
    """Return the values in an object or array, each with its name or index."""
    return enumerate(container) if type(container) is list else container


def _has_duplicate_name(fields: Sequence[tuple[str, Any]]) -> bool:
    return len(fields) > 1 and len(dict(fields)) < len(fields)


def _find_duplicates(levels: Sequence[_Level]) -> Sequence[Sequence[str]]:
    """Return the paths to the first `MAX_ERRORS` duplicate names, those in outer objects first."""
    objects = filter(_has_duplicate_name, chain.from_iterable(level.objects for level in levels))
    return _paths(((fields, name) for fields in objects for name in _repeated(name for name, _ in fields)), levels)


def _repeated(names: Iterable[str]) -> Iterator[str]:
    known: set[str] = set()
    for name in names:
        if name in known:
            yield name
        known.add(name)


def _paths(found: Iterable[tuple[Any, Any]], levels: Sequence[_Level]) -> Sequence[Sequence[str]]:
    """Return the paths to the first `MAX_ERRORS` of these members, each given by its container and its last step."""
    members = list(islice(found, MAX_ERRORS))
    outer = _find_outer({id(container) for container, _ in members}, levels)
    return [[*_path_to(id(container), outer), str(step)] for container, step in members]


def _find_outer(wanted: set[int], levels: Sequence[_Level]) -> Mapping[int, tuple[int, str]]:
    """Return the outer container of each wanted one and the step from there, up to the root, all by their `id`."""
    outer: dict[int, tuple[int, str]] = {}
    for level in reversed(levels):
        containers = level.containers
        ends = list(accumulate(map(len, containers)))
        for index, inner in [each for each in enumerate(map(id, level.values)) if each[1] in wanted]:
            number = bisect_right(ends, index)
            container = containers[number]
            position = index - ends[number] + len(container)
            step = container[position][0] if type(container) is tuple else str(position)
            outer[inner] = (id(container), step)
            wanted.add(id(container))
    return outer


def _path_to(container: int, outer: Mapping[int, tuple[int, str]]) -> Sequence[str]:
    steps: list[str] = []
    while container in outer:
        container, step = outer[container]
        steps.append(step)
    return steps[::-1]


def _too_deep() -> BadRequest:
    return BadRequest(f"The body is nested too deeply: more than {MAX_DEPTH} levels of objects and arrays.")
