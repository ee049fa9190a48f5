"""Arrange an OpenAPI document in the order of its page."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from shared.runtime.docs.curl import CurlCommands
from shared.runtime.docs.openapi import Schema
from shared.runtime.docs.schemas import Field, as_json, component_name, field_of, fields_of, type_of
from shared.runtime.docs.variables import Variable, Variables
from shared.runtime.http.problem_types import PROBLEMS_ROUTE

UNTAGGED: Final = "operations"


class Content(NamedTuple):
    """A body in one or more media types with the same schema."""

    media_types: tuple[str, ...]
    type: Markup
    fields: list[Field]
    example: str | None


class Answer(NamedTuple):
    """A response of success."""

    status: str
    description: str
    contents: list[Content]
    headers: Mapping[str, str]


class Error(NamedTuple):
    """A response of failure. `link` is the list of problem types with its status."""

    status: str
    description: str
    link: str


class OperationOutline(NamedTuple):
    """One operation. `command` calls it from a shell."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    credentials: list[str]
    parameters: list[tuple[str, Field]]
    """Each with its location: path, query or header."""
    body: Content | None
    body_required: bool
    answers: list[Answer]
    errors: list[Error]
    command: str


class SchemaOutline(NamedTuple):
    """A shared schema."""

    name: str
    description: str
    type: Markup
    fields: list[Field]


class Outline(NamedTuple):
    """The whole document. `groups` are its operations by their first tag."""

    groups: Mapping[str, list[OperationOutline]]
    schemas: list[SchemaOutline]
    security_schemes: Mapping[str, Schema]


def outline_of(document: Schema, statuses: Collection[int], variables: Sequence[Variable]) -> Outline:
    """Return the outline of a document. `statuses` are those of the service's problem types."""
    components = document["components"]["schemas"]
    commands = CurlCommands(document["components"], Variables(variables))
    groups: dict[str, list[OperationOutline]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            outline = _operation(method.upper(), path, operation, components, statuses, commands)
            groups.setdefault(operation.get("tags", [UNTAGGED])[0], []).append(outline)
    schemas = [
        SchemaOutline(name, schema.get("description", ""), type_of(schema), fields_of(schema))
        for name, schema in sorted(components.items())
    ]
    return Outline(groups, schemas, document["components"]["securitySchemes"])


def _operation(
    method: str,
    path: str,
    operation: Schema,
    schemas: Mapping[str, Schema],
    statuses: Collection[int],
    commands: CurlCommands,
) -> OperationOutline:
    body, responses = operation.get("requestBody"), operation["responses"]
    fails = {status for status in responses if not status.startswith(("2", "3"))}
    return OperationOutline(
        name=operation["operationId"],
        method=method,
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        credentials=[scheme for either in operation["security"] for scheme in either],
        parameters=[(each["in"], _parameter(each)) for each in operation.get("parameters", ())],
        body=next(_contents(body["content"], schemas), None) if body else None,
        body_required=bool(body and body["required"]),
        answers=[_answer(status, response, schemas) for status, response in responses.items() if status not in fails],
        errors=[
            _error(status, response["description"], statuses)
            for status, response in responses.items()
            if status in fails
        ],
        command=commands.command(method, path, operation),
    )


def _parameter(parameter: Schema) -> Field:
    return field_of(
        parameter["name"],
        parameter["schema"],
        is_required=parameter["required"],
        description=parameter.get("description", ""),
    )


def _answer(status: str, answer: Schema, components: Mapping[str, Schema]) -> Answer:
    headers = {name: header["description"] for name, header in answer.get("headers", {}).items()}
    contents = list(_contents(answer.get("content", {}), components))
    return Answer(status, answer["description"], contents, headers)


def _contents(content: Mapping[str, Schema], components: Mapping[str, Schema]) -> Iterator[Content]:
    """Yield the contents; media types with the same schema and example are one content."""
    parts = list(content.values())
    for number, part in enumerate(parts):
        if part in parts[:number]:
            continue
        same = tuple(media_type for media_type, other in content.items() if other == part)
        fields = fields_of(components.get(component_name(part["schema"]), part["schema"]))
        yield Content(same, type_of(part["schema"]), fields, _example(part.get("example")))


def _example(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else as_json(value, indent=2)


def _error(status: str, description: str, statuses: Collection[int]) -> Error:
    known = status.isdecimal() and int(status) in statuses
    return Error(status, description, f"{PROBLEMS_ROUTE}#status-{status}" if known else PROBLEMS_ROUTE)
