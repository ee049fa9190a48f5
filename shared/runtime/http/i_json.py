"""Require that a JSON body is I-JSON (RFC 7493), so that any two parsers read it alike.

The whole text is checked, including fields that are ignored.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn

from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.validation_errors import MAX_ERRORS, pointer_to

MAX_DEPTH: Final = 100
"""How deep objects and arrays may be nested. Recursive code needs no limit of its own."""
LEAST_INT64: Final = -(2**63)
MOST_INT64: Final = 2**63 - 1

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def require_i_json(body: bytes) -> bool:
    """Return whether the body contains an integer of more than 64 bits, which not every parser can represent.

    Raise `BadRequest` unless the body is I-JSON: UTF-8 without a byte order mark, JSON, no unpaired surrogate, nested
    no deeper than `MAX_DEPTH`, and no duplicate name in an object. Duplicate names are pointed at.
    """
    text = _text(body)
    wide = False
    try:
        values = _decode(_FAST, text)
    except _Irregular:
        values, wide = None, _has_wide_number(text)
    _require_paired_surrogates(text)
    if values is not None and text.count("[") + text.count("{") > MAX_DEPTH:
        _require_shallow(values)
    return wide


def find_wide_numbers(value: Any, steps: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    """Yield the path to each integer of more than 64 bits in a decoded JSON value."""
    if isinstance(value, int) and not LEAST_INT64 <= value <= MOST_INT64:
        yield steps
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from find_wide_numbers(inner, (*steps, str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from find_wide_numbers(inner, (*steps, str(index)))


def _text(body: bytes) -> str:
    if body.startswith(_BYTE_ORDER_MARK):
        raise BadRequest("The body begins with a byte order mark, EF BB BF; send UTF-8 without one.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: invalid byte at position {error.start + 1}.") from None


class _Irregular(Exception):
    """A duplicate name or a wide number. The fast decoder does not keep what is needed to locate it."""


class _Object(NamedTuple):
    """An object with all of its fields, including duplicates."""

    fields: Sequence[tuple[str, Any]]


def _values(fields: Sequence[tuple[str, Any]]) -> list[Any]:
    """Replace an object by its values, which is all that the fast decoder needs."""
    named = dict(fields)
    if len(named) != len(fields):
        raise _Irregular
    return list(named.values())


def _is_narrow(digits: str) -> bool:
    return len(digits) < 19 or (len(digits) <= 20 and LEAST_INT64 <= int(digits) <= MOST_INT64)


def _require_narrow(digits: str) -> None:
    if not _is_narrow(digits):
        raise _Irregular


_WIDE: Final = object()


def _mark_wide(digits: str) -> object:
    return None if _is_narrow(digits) else _WIDE


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not JSON: {name} is not a JSON number.")


_FAST: Final = json.JSONDecoder(
    object_pairs_hook=_values, parse_int=_require_narrow, parse_float=len, parse_constant=_refuse_constant
)
_COMPLETE: Final = json.JSONDecoder(
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


def _has_wide_number(text: str) -> bool:
    """Return whether any number is wide. Raise `BadRequest` for duplicate names."""
    found = list(_walk_irregularities(_decode(_COMPLETE, text)))
    repeated = islice((steps for steps in found if steps), MAX_ERRORS)
    errors = [ErrorDetail("duplicate name; keep one", pointer=pointer_to(steps)) for steps in repeated]
    if errors:
        raise BadRequest("The body contains an object with a duplicate name.", *errors)
    return bool(found)


def _walk_irregularities(value: Any, steps: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    """Yield the path to each duplicate name, and an empty path for each wide number."""
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
            yield from _walk_irregularities(inner, (*steps, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk_irregularities(inner, (*steps, str(index)))


_WITHOUT_UNPAIRED: Final = re.compile(
    r"(?:[^\\]++|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(?![dD][89a-fA-F])|\\[^u])*+", re.DOTALL
)


def _require_paired_surrogates(text: str) -> None:
    """Raise `BadRequest` for an escape of an unpaired surrogate. The text must be JSON."""
    if "\\ud" not in text and "\\uD" not in text:
        return
    match = _WITHOUT_UNPAIRED.match(text)
    end = match.end() if match else 0
    if end < len(text):
        escape = text[end : end + 6]
        raise BadRequest(f"The body contains half of a surrogate pair, {escape}, at character {end + 1}.")


def _require_shallow(values: Any) -> None:
    level = [values] if isinstance(values, list) else []
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in outer if type(inner) is list]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> BadRequest:
    return BadRequest(f"The body is nested too deeply: more than {MAX_DEPTH} levels of objects and arrays.")
