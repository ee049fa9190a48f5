"""Describe JSON Schemas from msgspec in words, with links to the schemas that they refer to."""

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from markupsafe import Markup

from shared.runtime.docs.openapi import Schema


class Field(NamedTuple):
    """A field of an object, or a parameter of a request, as a row of a table."""

    name: str
    is_required: bool
    type: Markup
    description: str
    rules: list[str]
    default: str | None
    example: str | None


def fields_of(schema: Schema) -> list[Field]:
    """Return the fields of an object, in order; none if the schema is no object."""
    required = schema.get("required", ())
    return [field_of(name, field, is_required=name in required) for name, field in schema.get("properties", {}).items()]


def field_of(name: str, schema: Schema, *, is_required: bool, description: str = "") -> Field:
    """Return one field. A `description` replaces the one in the schema."""
    parts = [schema, *schema.get("anyOf", ())]
    descriptions = [description, *(part.get("description", "") for part in parts)]
    examples = [example for part in parts for example in part.get("examples", ())]
    default = schema.get("default")
    return Field(
        name,
        is_required,
        type_of(schema),
        next(filter(None, descriptions), ""),
        [rule for part in parts for rule in _rules(part)],
        None if default is None else as_json(default),
        as_json(examples[0]) if examples else None,
    )


def type_of(schema: Schema) -> Markup:
    """Return the type of a value, without its rules."""
    if "$ref" in schema:
        return Markup('<a href="#schema-{0}">{0}</a>').format(component_name(schema))
    if "anyOf" in schema:
        return _join_alternatives(map(type_of, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return _join_alternatives(map(_code, schema.get("enum", [schema.get("const")])))
    return _type_of_one(schema)


def _type_of_one(schema: Schema) -> Markup:
    match schema.get("type"):
        case "array" if schema.get("items"):
            return Markup("list of {}").format(type_of(schema["items"]))
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return Markup("object, each value {}").format(type_of(schema["additionalProperties"]))
        case "string":
            return Markup.escape(_OF_FORMAT.get(schema.get("format", ""), "text"))
        case kind:
            return Markup.escape(_OF_TYPE.get(kind or "", "any value"))


def component_name(schema: Schema) -> str:
    """Return the name of the component that the schema refers to, or `""`."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def as_json(value: Any, *, indent: int = 0) -> str:
    """Return the value as JSON, on one line without `indent`."""
    return msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()


_OF_TYPE: Final = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "object",
}
_OF_FORMAT: Final = {
    "byte": "text (base64)",
    "date": "date (RFC 3339)",
    "date-time": "time (RFC 3339)",
    "duration": "duration (ISO 8601)",
    "time": "time of day (RFC 3339)",
    "uuid": "UUID",
}
_BOUNDS: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " values"),
    ("minProperties", "maxProperties", " fields"),
)


def _rules(schema: Schema) -> list[str]:
    rules = [_bounds(schema.get(low), schema.get(high), unit) for low, high, unit in _BOUNDS]
    rules += [f"above {schema['exclusiveMinimum']}"] if "exclusiveMinimum" in schema else []
    rules += [f"below {schema['exclusiveMaximum']}"] if "exclusiveMaximum" in schema else []
    rules += [f"matches `{schema['pattern']}`"] if "pattern" in schema else []
    return list(filter(None, rules))


def _bounds(low: object, high: object, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"at most {high}{unit}"
    if high is None:
        return f"at least {low}{unit}"
    return f"exactly {low}{unit}" if low == high else f"{low} to {high}{unit}"


def _join_alternatives(words: Iterable[Markup]) -> Markup:
    return Markup(" or ").join(dict.fromkeys(words))


def _code(value: object) -> Markup:
    return Markup("<code>{}</code>").format(as_json(value))


_CODE: Final = re.compile(r"`([^`]+)`")


def prose(text: str) -> Markup:
    """Return text with code between backticks as HTML, and with runs of white space as one space."""
    words = _CODE.split(" ".join(text.split()))
    return Markup("").join(
        Markup("<code>{}</code>").format(word) if number % 2 else word for number, word in enumerate(words)
    )


def paragraphs(text: str) -> list[Markup]:
    """Return the paragraphs of such a text, which are separated by empty lines."""
    return [prose(part) for part in re.split(r"\n\s*\n", text.strip()) if part]
