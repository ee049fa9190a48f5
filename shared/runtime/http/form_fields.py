"""Convert the text fields of a query or a form to a Struct strictly, and report every invalid field at once.

A list field takes the values of all fields of its name, in order: `?tag=a&tag=b`. Any other field takes one value.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect
from msgspec.structs import FieldInfo

from shared.runtime.http.type_names import describe_type

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class FieldError(NamedTuple):
    """An invalid field: its name, and what was expected."""

    name: str
    detail: str


def read_fields(
    texts: Mapping[str, Sequence[str]], kind: type[S], *, allow_unknown: bool = False
) -> S | list[FieldError]:
    """Return a `kind`, or an error for each invalid field. `texts` has the values by encoded field name."""
    plain = _read_plain_fields(texts, kind, allow_unknown=allow_unknown)
    return _read_each_field(texts, kind, allow_unknown=allow_unknown) if plain is None else plain


def _read_each_field(texts: Mapping[str, Sequence[str]], kind: type[S], *, allow_unknown: bool) -> S | list[FieldError]:
    fields = _form_of(kind).fields
    values: dict[str, Any] = {}
    errors = [] if allow_unknown else [FieldError(name, _unknown(fields)) for name in texts if name not in fields]
    for name, field in fields.items():
        if name in texts:
            try:
                values[field.name] = _convert(texts[name], field)
            except _InvalidValue as error:
                errors.append(FieldError(name, str(error)))
        elif field.required:
            errors.append(FieldError(name, "this field is required"))
    return errors or kind(**values)


def _read_plain_fields(texts: Mapping[str, Sequence[str]], kind: type[S], *, allow_unknown: bool) -> S | None:
    """Return a `kind` by one conversion; `None` if a field is invalid, or has to be converted by itself."""
    form = _form_of(kind)
    if not texts:
        return cast("S | None", form.default)
    values: dict[str, Any] = {}
    for name, given in texts.items():
        if name not in form.plain:
            if name in form.fields or not allow_unknown:
                return None
        elif len(given) > 1:
            return None
        else:
            values[name] = _parse_scalar(given[0]) if name in form.scalars else given[0]
    try:
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, OverflowError):
        return None


def field_names(kind: type[msgspec.Struct]) -> Collection[str]:
    """Return the encoded names of the fields."""
    return _form_of(kind).fields.keys()


class _Form(NamedTuple):
    """What is known of a Struct without looking at texts: its fields by encoded name, and how each is given."""

    fields: Mapping[str, FieldInfo]
    plain: frozenset[str]
    """One text each, from which msgspec makes the value; neither a list nor a time."""
    scalars: frozenset[str]
    """Numbers and booleans, which are never text."""
    default: msgspec.Struct | None
    """The value without any field, `None` if one is required."""


@lru_cache
def _form_of(kind: type[msgspec.Struct]) -> _Form:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    kinds = {name: _without_null(inspect.type_info(field.type)) for name, field in fields.items()}
    scalars, others = (
        frozenset(name for name, each in kinds.items() if isinstance(each, family)) for family in (_SCALARS, _OTHERS)
    )
    default = None if any(field.required for field in fields.values()) else kind()
    return _Form(fields, plain=frozenset(fields) - others, scalars=scalars, default=default)


_SCALARS: Final = (inspect.IntType, inspect.FloatType, inspect.BoolType)
_OTHERS: Final = (inspect.CollectionType, inspect.DateTimeType)


def to_utc(value: T) -> T:
    """Return the value, a time converted to UTC. Raise `OverflowError` if that is out of `datetime`'s range."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


class _InvalidValue(Exception):
    """The message says what was expected."""


def _convert(values: Sequence[str], field: FieldInfo) -> Any:
    kind = inspect.type_info(field.type)
    is_list = isinstance(_without_null(kind), inspect.CollectionType)
    if len(values) > 1 and not is_list:
        raise _InvalidValue(f"expected one value, got {len(values)}")
    for candidates in (values, [_parse_scalar(text) for text in values]):
        with suppress(msgspec.ValidationError, OverflowError):
            return to_utc(msgspec.convert(candidates if is_list else candidates[0], field.type))
    raise _InvalidValue(_describe(kind, is_list=is_list))


_SCALAR: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?|true|false")


def _parse_scalar(text: str) -> Any:
    """Return the number or boolean that the text is in JSON, else the text."""
    return msgspec.json.decode(text) if _SCALAR.fullmatch(text) else text


def _describe(kind: inspect.Type, *, is_list: bool) -> str:
    if not is_list:
        return f"expected {describe_type(kind)}"
    list_type = _without_null(kind)
    item = describe_type(list_type.item_type) if isinstance(list_type, inspect.CollectionType) else ""
    return f"expected {describe_type(list_type)}, each {item}".replace("expected a list, each", "expected each to be")


def _without_null(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _without_null(others[0]) if len(others) == 1 else kind
    return kind


def _unknown(fields: Mapping[str, FieldInfo]) -> str:
    return f"unknown field; expected one of: {', '.join(fields)}" if fields else "unknown field; expected none"
