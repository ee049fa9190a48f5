"""A Struct from texts by name, as a query or a form has them: read strictly, and every fault at once.

A field that is a list takes each text given under its name, in order: `?tag=a&tag=b`. Any other takes one.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import inspect
from msgspec.structs import FieldInfo

from shared.runtime.http.type_names import wanted

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class FieldError(NamedTuple):
    """What is wrong with the texts of one name, and what would be right."""

    name: str
    detail: str


def read_fields(
    texts: Mapping[str, Sequence[str]], kind: type[S], *, allow_unknown: bool = False
) -> S | list[FieldError]:
    """A `kind`, or everything that is wrong. Fields are known by their encoded names."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    misread = [] if allow_unknown else [FieldError(name, _unknown(fields)) for name in texts if name not in fields]
    for name, field in fields.items():
        if name in texts:
            try:
                values[field.name] = _value(texts[name], field)
            except _Unread as error:
                misread.append(FieldError(name, str(error)))
        elif field.required:
            misread.append(FieldError(name, "this is required"))
    return misread or kind(**values)


def in_utc(value: T) -> T:
    """The value, a time in UTC. Raises `OverflowError` for one that is in another year there than there are."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


class _Unread(Exception):
    """Says what would be right."""


def _value(given: Sequence[str], field: FieldInfo) -> Any:
    kind = inspect.type_info(field.type)
    is_list = isinstance(_without_null(kind), inspect.CollectionType)
    if len(given) > 1 and not is_list:
        raise _Unread(f"give this once; it is given {len(given)} times")
    for texts in (given, [_plain(text) for text in given]):
        with suppress(msgspec.ValidationError, OverflowError):
            return in_utc(msgspec.convert(texts if is_list else texts[0], field.type))
    raise _Unread(_wanted(kind, is_list=is_list))


_PLAIN: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?|true|false")


def _plain(text: str) -> Any:
    """The number or boolean that the text spells as JSON does; no other spelling counts."""
    return msgspec.json.decode(text) if _PLAIN.fullmatch(text) else text


def _wanted(kind: inspect.Type, *, is_list: bool) -> str:
    if not is_list:
        return f"expected {wanted(kind)}"
    many = _without_null(kind)
    item = wanted(many.item_type) if isinstance(many, inspect.CollectionType) else ""
    return f"expected {wanted(many)}, each {item}".replace("expected a list, each", "expected each to be")


def _without_null(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _without_null(others[0]) if len(others) == 1 else kind
    return kind


def _unknown(fields: Mapping[str, FieldInfo]) -> str:
    return f"this is not known here; known are {', '.join(fields)}" if fields else "nothing is read here; leave it out"
