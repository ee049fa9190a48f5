"""What JSON of a request has to be beyond its grammar: I-JSON (RFC 7493), so that no two readers of it can disagree.

Checked over the whole text, also where fields are that nobody reads.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn

from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.validation_errors import MAX_ERRORS, pointer_to

MAX_DEPTH: Final = 100
"""How deep objects and arrays may nest, so that whoever walks through them needs no bound of its own."""
LEAST_INT64: Final = -(2**63)
MOST_INT64: Final = 2**63 - 1

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def require_i_json(body: bytes) -> bool:
    """Whether a whole number in the body needs more than 64 bits, which a reader may have no room for.

    Raises `BadRequest` where the body is not I-JSON: not UTF-8, not JSON, with a byte order mark, with half of a
    surrogate pair, nested deeper than `MAX_DEPTH`, or with a name twice in an object, which is pointed at.
    """
    text = _text(body)
    wide = False
    try:
        values = _decode(_QUICK, text)
    except _Unusual:
        values, wide = None, _read_carefully(text)
    _require_whole_characters(text)
    if values is not None and text.count("[") + text.count("{") > MAX_DEPTH:
        _require_shallow(values)
    return wide


def wide_numbers(value: Any, steps: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    """The way to each whole number that needs more than 64 bits, in a value that is built of what JSON knows."""
    if isinstance(value, int) and not LEAST_INT64 <= value <= MOST_INT64:
        yield steps
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from wide_numbers(inner, (*steps, str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from wide_numbers(inner, (*steps, str(index)))


def _text(body: bytes) -> str:
    if body.startswith(_BYTE_ORDER_MARK):
        raise BadRequest("The body begins with a byte order mark, EF BB BF; send JSON in UTF-8 without one.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8, from byte {error.start + 1} on.") from None


class _Unusual(Exception):
    """An object with a name twice or a wide number: too rare for the quick way to keep what it takes to tell more."""


class _Object(NamedTuple):
    """An object with all that is in it."""

    fields: Sequence[tuple[str, Any]]


def _values(fields: Sequence[tuple[str, Any]]) -> list[Any]:
    """In place of an object, for the quick way: what else is in it does not matter."""
    named = dict(fields)
    if len(named) != len(fields):
        raise _Unusual
    return list(named.values())


def _is_narrow(digits: str) -> bool:
    return len(digits) < 19 or (len(digits) <= 20 and LEAST_INT64 <= int(digits) <= MOST_INT64)


def _require_narrow(digits: str) -> None:
    if not _is_narrow(digits):
        raise _Unusual


_WIDE: Final = object()


def _mark_wide(digits: str) -> object:
    return None if _is_narrow(digits) else _WIDE


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not JSON: it knows no {name}; a number is finite.")


_QUICK: Final = json.JSONDecoder(
    object_pairs_hook=_values, parse_int=_require_narrow, parse_float=len, parse_constant=_refuse_constant
)
_CAREFUL: Final = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_mark_wide, parse_float=len, parse_constant=_refuse_constant
)


def _decode(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        if not text:
            raise BadRequest("The body is empty.") from None
        place = f"at line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not JSON: {error.msg}, {place}.") from None
    except RecursionError:
        raise _too_deep() from None


def _read_carefully(text: str) -> bool:
    """Whether a number is wide. Raises `BadRequest` where a name stands twice in an object."""
    found = list(_oddities(_decode(_CAREFUL, text)))
    repeated = islice((steps for steps in found if steps), MAX_ERRORS)
    errors = [
        ErrorDetail("this name stands here a second time; keep one", pointer=pointer_to(steps)) for steps in repeated
    ]
    if errors:
        raise BadRequest("An object in the body has a name twice, so what is meant cannot be told.", *errors)
    return bool(found)


def _oddities(value: Any, steps: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    """The way to each name that its object has had before, and an empty one for each wide number."""
    if value is _WIDE:
        yield ()
    if isinstance(value, _Object | list) and len(steps) >= MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, _Object):
        known: set[str] = set()
        for name, inner in value.fields:
            if name in known:
                yield (*steps, name)
            known.add(name)
            yield from _oddities(inner, (*steps, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _oddities(inner, (*steps, str(index)))


_WITHOUT_HALVES: Final = re.compile(
    r"(?:[^\\]++|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(?![dD][89a-fA-F])|\\[^u])*+", re.DOTALL
)


def _require_whole_characters(text: str) -> None:
    """Raises `BadRequest` for an escape that is half of a surrogate pair. The text is JSON."""
    if "\\ud" not in text and "\\uD" not in text:
        return
    match = _WITHOUT_HALVES.match(text)
    end = match.end() if match else 0
    if end < len(text):
        escape = text[end : end + 6]
        raise BadRequest(f"The body holds half of a surrogate pair, {escape}, as its character {end + 1}.")


def _require_shallow(values: Any) -> None:
    level = [values] if isinstance(values, list) else []
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in outer if type(inner) is list]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> BadRequest:
    return BadRequest(f"The body nests too deeply, more than {MAX_DEPTH} objects and arrays in each other.")
