"""Find the fields of a payload that accept only some texts: enumerations, literals and tags."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec import inspect

MAX_DEPTH = 6


class LiteralField(NamedTuple):
    """A field by its path, and a function that returns a body with a value in it."""

    path: str
    body_with: Callable[[Any], Any]


def find_literal_fields(kind: inspect.Type, depth: int = 0) -> Iterator[LiteralField]:
    """Yield every field with a fixed set of texts inside a type, including that of its list items and objects."""
    if depth > MAX_DEPTH:
        return
    if isinstance(kind, inspect.LiteralType | inspect.EnumType):
        yield LiteralField("", lambda value: value)
    if isinstance(kind, inspect.StructType) and kind.tag_field:
        yield LiteralField(f"/{kind.tag_field}", _put({}, kind.tag_field, lambda value: value))
    for step, one, outer in _types_inside(kind):
        for inner in find_literal_fields(one, depth + 1):
            yield LiteralField(f"/{step}{inner.path}" if step else inner.path, _put(outer, step, inner.body_with))


def _types_inside(kind: inspect.Type) -> list[tuple[str, inspect.Type, Any]]:
    """Return the types of the values inside a type, with the step to them and the value around them."""
    match kind:
        case inspect.StructType():
            tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
            return [(field.encode_name, field.type, tag) for field in kind.fields]
        case inspect.Metadata():
            return [("", kind.type, None)]
        case inspect.UnionType():
            return [("", one, None) for one in kind.types]
        case inspect.DictType():
            return [("key", kind.value_type, {})]
        case inspect.CollectionType():
            return [("0", kind.item_type, [])]
    return []


def _put(outer: Any, step: str, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that wraps the result of `inner`.

    It is wrapped under `step` if `outer` is an object, as the only item if it is a list, not at all if it is None.
    """

    def put(value: Any) -> Any:
        if isinstance(outer, dict):
            return {**outer, step: inner(value)}
        return [inner(value)] if isinstance(outer, list) else inner(value)

    return put
