"""Describe each error in a JSON body, with a JSON pointer and without Python's type names."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Self

import msgspec
from msgspec import Struct, inspect

from shared.runtime.http.problem import ErrorDetail
from shared.runtime.http.type_names import MAX_REPEATED, describe_json_type, describe_type, shorten

MAX_DEPTH: Final = 100
"""How deep objects and arrays may be nested. Recursive code needs no limit of its own."""
MAX_ERRORS: Final = 20
"""The most errors that are reported for one body."""


def validation_errors(body: bytes, kind: Any, error: msgspec.ValidationError) -> Sequence[ErrorDetail]:
    """Return at least one error for a body that msgspec refused as a `kind` with `error`.

    For an object, return one for each invalid top-level field. Raise `msgspec.DecodeError` if the body is not JSON.
    """
    errors: Iterator[ErrorDetail] = iter(())
    if isinstance(kind, type) and issubclass(kind, Struct) and kind.__struct_config__.tag is None:
        errors = _errors_of_fields(body, kind)
    return list(islice(errors, MAX_ERRORS)) or [_error_detail(str(error), body, inspect.type_info(kind))]


def pointer_to(steps: Sequence[str]) -> str:
    """Return the JSON pointer (RFC 6901) for a path of fields and indices, shortened if it is long."""
    return shorten("".join("/" + step[:MAX_REPEATED].replace("~", "~0").replace("/", "~1") for step in steps))


def _errors_of_fields(body: bytes, kind: type[Struct]) -> Iterator[ErrorDetail]:
    """Yield an error for each invalid top-level field; none if the body is no object."""
    try:
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if kind.__struct_config__.forbid_unknown_fields:
        unknown = _unknown_field(fields)
        yield from (ErrorDetail(unknown, pointer=pointer_to([name])) for name in sent if name not in fields)
    for name, field in fields.items():
        if name in sent:
            yield from _errors_of_field(name, sent[name], field.type)
        elif field.required:
            yield ErrorDetail("this field is required", pointer=pointer_to([name]))


def _errors_of_field(name: str, sent: msgspec.Raw, kind: type) -> Iterator[ErrorDetail]:
    try:
        msgspec.json.decode(sent, type=kind)
    except msgspec.ValidationError as error:
        yield _error_detail(str(error), sent, inspect.type_info(kind), name)


_BEFORE_PATH: Final = " - at `"
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])", re.ASCII)
_MISSING: Final = "Object missing required field `"
_UNKNOWN: Final = "Object contains unknown field `"


_BEFORE_ROOT: Final = ("", "key` in `")
"""What may stand before the path: nothing, or that the name of a field is wrong and not its value."""


class _Message(NamedTuple):
    """A message of msgspec, such as "Expected `str`, got `int` - at `$.options[0].id`", in parts.

    A reason may repeat text of the body, so it is split without a search that backtracks. The path is of msgspec, which
    adds it at the end. If it adds none, the text may imitate one, and then the error points at a wrong place.
    """

    reason: str
    path: str
    is_of_name: bool

    @classmethod
    def read(cls, message: str) -> Self:
        reason, separator, place = message.rpartition(_BEFORE_PATH)
        name, _, path = place.removesuffix("`").partition("$")
        if not separator or name not in _BEFORE_ROOT:
            return cls(message, "", is_of_name=False)
        return cls(reason, path, is_of_name=bool(name))


def _error_detail(message: str, sent: bytes | msgspec.Raw, kind: inspect.Type, *outer: str) -> ErrorDetail:
    """Convert a message of msgspec.

    `sent` is the JSON of the field `outer` and `kind` its type, or of the whole body without it.
    """
    reason, path, is_of_name = _Message.read(message)
    steps: list[str] = list(outer)
    known: inspect.Type | None = kind
    value = _decode(sent) if reason.startswith(_UNKNOWN) else None
    for match in islice(_STEP.finditer(path), MAX_DEPTH):
        name, index, any_value = match.groups()
        known, value = _type_inside(_narrow(known, value), name or index), _value_inside(value, name or index)
        if any_value:  # msgspec does not name the field, so the error is of the whole object
            return ErrorDetail(_expected(reason, known, "expected each value to be"), pointer=pointer_to(steps))
        steps.append(name or index)
    if reason.startswith((_MISSING, _UNKNOWN)):
        name = reason.partition("`")[2].removesuffix("`")
        is_missing, known = reason.startswith(_MISSING), _narrow(known, value)
        detail = "this field is required" if is_missing else _unknown_field(_fields_without(known, name))
        return ErrorDetail(detail, pointer=pointer_to([*steps, name]))
    if is_of_name:
        return ErrorDetail("this object contains an unknown name", pointer=pointer_to(steps))
    return ErrorDetail(_expected(reason, known), pointer=pointer_to(steps))


def _unknown_field(known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f"unknown field; expected one of: {names}" if names else "unknown field"


def _narrow(kind: inspect.Type | None, value: Any) -> inspect.Type | None:
    """Return the one of several kinds of object that the tag of the value names, or else `kind`."""
    if not isinstance(kind, inspect.UnionType) or not isinstance(value, dict):
        return kind
    structs = (one for one in kind.types if isinstance(one, inspect.StructType) and one.tag_field is not None)
    return next((one for one in structs if value.get(one.tag_field) == one.tag), kind)


def _decode(sent: bytes | msgspec.Raw) -> Any:
    """Return the value of a JSON text; `None` if it has a number that msgspec cannot represent."""
    try:
        return msgspec.json.decode(sent)
    except msgspec.ValidationError:
        return None


def _value_inside(value: Any, step: str | None) -> Any:
    """Return the field or item of a value; `None` if there is none."""
    if isinstance(value, list):
        return next((item for index, item in enumerate(value) if str(index) == step), None)
    return value.get(step) if isinstance(value, dict) else None


def _fields_without(kind: inspect.Type | None, unknown: str) -> Sequence[str]:
    """Return the fields of an object that does not have `unknown`; none if several kinds of object are possible."""
    match kind:
        case inspect.Metadata():
            return _fields_without(kind.type, unknown)
        case inspect.StructType():
            fields = [*filter(None, [kind.tag_field]), *(field.encode_name for field in kind.fields)]
            return [] if unknown in fields else fields
        case inspect.UnionType():
            possible = {tuple(found) for one in kind.types if (found := _fields_without(one, unknown))}
            return possible.pop() if len(possible) == 1 else ()
    return ()


def _expected(reason: str, kind: inspect.Type | None, start: str = "expected") -> str:
    is_too_large = reason.endswith("out of range")
    if kind is None or isinstance(kind, inspect.AnyType):
        return f"contains {_TOO_LARGE}" if is_too_large else "expected another value"
    if is_too_large:
        return f"{start} {describe_type(kind)}, got {_TOO_LARGE}"
    before, _, got = reason.removesuffix("`").rpartition("`, got `")
    return f"{start} {describe_type(kind)}" + (f", got {describe_json_type(got)}" if before else "")


_TOO_LARGE: Final = "a number that is too large"


def _type_inside(kind: inspect.Type | None, step: str) -> inspect.Type | None:
    """Return the type of a field or item of a `kind`; `None` if it is unknown."""
    found: inspect.Type | None = None
    match kind:
        case inspect.Metadata():
            found = _type_inside(kind.type, step)
        case inspect.UnionType():
            inner = [one for one in (_type_inside(one, step) for one in kind.types) if one is not None]
            found = _common_type(inner)
        case inspect.StructType() if step == kind.tag_field:
            found = inspect.LiteralType((kind.tag,))
        case inspect.StructType():
            found = next((field.type for field in kind.fields if field.encode_name == step), None)
        case inspect.DictType():
            found = kind.value_type
        case inspect.CollectionType():
            found = kind.item_type
        case inspect.TupleType():
            found = next((item for index, item in enumerate(kind.item_types) if str(index) == step), None)
    return found


def _common_type(kinds: Sequence[inspect.Type]) -> inspect.Type | None:
    """Return the common type of one field in several types: the only one, a literal of their tags, or a union."""
    tags = [kind.values for kind in kinds if isinstance(kind, inspect.LiteralType)]
    if len(kinds) > 1 and len(tags) == len(kinds):
        return inspect.LiteralType(tuple(tag for values in tags for tag in values))
    if len(kinds) > 1:
        return inspect.UnionType(tuple(kinds))
    return kinds[0] if kinds else None
