"""Describe types to API users in words that do not depend on Python."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import inspect

MAX_REPEATED: Final = 100
"""The most characters of the input that an error repeats."""


def describe_type(kind: inspect.Type) -> str:
    """Return a description such as "a whole number from 1 to 1000". Whether null is allowed is left out."""
    match kind:
        case inspect.Metadata():
            return describe_type(kind.type)
        case inspect.UnionType():
            return _join_alternatives(describe_type(one) for one in kind.types if not isinstance(one, inspect.NoneType))
        case inspect.LiteralType():
            return _join_alternatives(_quote(value) for value in kind.values)
        case inspect.EnumType():
            return _join_alternatives(_quote(member.value) for member in kind.cls)
        case inspect.TupleType():
            return f"a list of {len(kind.item_types)} values"
    return next(
        (describe(kind) for family, describe in _DESCRIPTIONS.items() if isinstance(kind, family)), "another value"
    )


def describe_json_type(name: str) -> str:
    """Return words for the name of a JSON type in msgspec's errors, such as `str` or `int`."""
    return _JSON_TYPES.get(name, "something else")


def shorten(text: str) -> str:
    """Return the text, cut to `MAX_REPEATED` characters with "…" at the end."""
    return text if len(text) <= MAX_REPEATED else text[: MAX_REPEATED - 1] + "…"


_JSON_TYPES: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def _number(what: str) -> Callable[[Any], str]:
    def describe(kind: Any) -> str:
        if kind.ge is not None and kind.le is not None:
            return f"{what} from {kind.ge} to {kind.le}"
        bounds = {"of at least": kind.ge, "above": kind.gt, "of at most": kind.le, "below": kind.lt}
        return " ".join([what, " and ".join(f"{name} {bound}" for name, bound in bounds.items() if bound is not None)])

    return lambda kind: describe(kind).strip()


def _length(what: str, of_what: str) -> Callable[[Any], str]:
    def describe(kind: Any) -> str:
        least, most = kind.min_length, kind.max_length
        if least is not None and most is not None:
            return f"{what} of {least} to {most} {of_what}"
        if least is not None:
            return f"{what} of {least} or more {of_what}"
        return what if most is None else f"{what} of at most {most} {of_what}"

    return describe


def _text(kind: inspect.StrType) -> str:
    words = _length("text", "characters")(kind)
    return words if kind.pattern is None else f"{words} that matches {kind.pattern}"


def _time(kind: inspect.DateTimeType) -> str:
    return "a time such as 2026-11-30T12:00:00Z" + (", without an offset" if kind.tz is False else "")


_DESCRIPTIONS: Final[dict[type[inspect.Type], Callable[[Any], str]]] = {
    inspect.BoolType: lambda _: "true or false",
    inspect.IntType: _number("a whole number"),
    inspect.FloatType: _number("a number"),
    inspect.DecimalType: lambda _: "a number",
    inspect.StrType: _text,
    inspect.DateTimeType: _time,
    inspect.DateType: lambda _: "a day such as 2026-11-30",
    inspect.UUIDType: lambda _: "a UUID such as 123e4567-e89b-42d3-a456-426614174000",
    inspect.CollectionType: _length("a list", "values"),
    inspect.DictType: _length("an object", "fields"),
    inspect.StructType: lambda _: "an object",
    inspect.NoneType: lambda _: "null",
}


def _join_alternatives(words: Iterable[str]) -> str:
    """Join words as in "a, b or c". A whole number is a number."""
    distinct = dict.fromkeys(words)
    if "a number" in distinct:
        distinct.pop("a whole number", None)
    *others, last = distinct
    return f"{', '.join(others)} or {last}" if others else last


def _quote(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
