"""The OpenAPI 3.1 document of a service, from the very types that its handlers read and answer with."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp.typedefs import Handler
from msgspec import Struct

from shared.runtime.http.body import JSON
from shared.runtime.http.problem import ProblemDocument

OPENAPI_ROUTE: Final = "/openapi.json"

Schema = dict[str, Any]


class Answer(Struct, frozen=True, kw_only=True):
    """One way in which an operation succeeds. `body` is the type of what it answers with, or several, of which one;
    `example` is one of these, or what it is as JSON.

    `alternatives` are other media types that it answers with where it is asked to: an example of the text by each.
    """

    description: str
    body: Any = None
    media_type: str = JSON
    example: Any = None
    alternatives: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    """What each header says, by its name."""


class Operation(Struct, frozen=True, kw_only=True):
    """What a caller may know of a route. Parameters are the fields of Structs, as `read_query` takes them.

    The body may be of one media type or of several, which are read alike. `problems` are those that are this route's
    own, a sentence by its status. Those of reading a request and of its access rule are added to every route that can
    have them, but for those in `without`.
    """

    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    tags: tuple[str, ...] = ()
    path: type[Struct] | None = None
    query: type[Struct] | None = None
    headers: type[Struct] | None = None
    body: Any = None
    body_required: bool = True
    media_type: str | tuple[str, ...] = JSON
    example: Any = None
    """Of the body."""
    problems: Mapping[int, str] = {}
    without: tuple[int, ...] = ()


class Endpoint(NamedTuple):
    """A handler and what a caller may know of it."""

    handler: Handler
    operation: Operation

    @property
    def name(self) -> str:
        """The operation's id: the handler's name."""
        return self.handler.__name__


def endpoint(**operation: Any) -> Callable[[Handler], Endpoint]:
    """Put an `Operation` of these fields beside a handler."""

    def document(handler: Handler) -> Endpoint:
        return Endpoint(handler, Operation(**operation))

    return document


class Row(NamedTuple):
    """One route. `name` is the operation's id; `security` names the scheme by which a caller shows who it is, or
    several, of which each will do.
    """

    method: str
    path: str
    name: str
    operation: Operation
    security: str | tuple[str, ...] | None = None


def openapi_document(info: Schema, rows: Iterable[Row], security_schemes: Mapping[str, Schema]) -> Schema:
    """The document. Each Struct becomes a shared component; every error is a `ProblemDocument`."""
    rows = list(rows)
    schemas, components = _schemas(rows)
    paths: dict[str, Schema] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": info,
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": dict(security_schemes)},
    }


def _schemas(rows: Iterable[Row]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each type that any body is of, and the components that they refer to."""
    bodies = [row.operation.body for row in rows]
    answers = [kind for row in rows for answer in row.operation.answers.values() for kind in _kinds(answer.body)]
    kinds = list(dict.fromkeys(kind for kind in [*bodies, *answers, ProblemDocument] if kind is not None))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for component in components.values():
        if "description" in component:  # a docstring, whose indentation Markdown would take for code
            component["description"] = inspect.cleandoc(component["description"])
    return dict(zip(kinds, schemas, strict=True)), components


def _operation(row: Row, schemas: Mapping[Any, Schema], components: Mapping[str, Schema]) -> Schema:
    operation = row.operation
    told = {"operationId": row.name, "summary": operation.summary, "description": operation.description}
    document: Schema = {name: text for name, text in told.items() if text}
    if operation.tags:
        document["tags"] = list(operation.tags)
    parameters = _path_parameters(row.path, operation.path)
    parameters += [*_parameters("query", operation.query), *_parameters("header", operation.headers)]
    if parameters:
        document["parameters"] = parameters
    if operation.body is not None:
        content = _content(schemas[operation.body], operation.example)
        document["requestBody"] = {
            "required": operation.body_required,
            "content": dict.fromkeys(_each(operation.media_type), content),
        }
    problem = {"application/problem+json": {"schema": schemas[ProblemDocument]}}
    document["responses"] = {
        **{str(status): _answer(answer, schemas) for status, answer in operation.answers.items()},
        **{str(status): {"description": text, "content": problem} for status, text in sorted(_problems(row).items())},
        "default": {"description": "Any other error.", "content": problem},
    }
    document["security"] = [{scheme: []} for scheme in _each(row.security or ())]
    return document


def _each(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _answer(answer: Answer, schemas: Mapping[Any, Schema]) -> Schema:
    document: Schema = {"description": answer.description}
    if answer.body is not None:
        either = [schemas[kind] for kind in _kinds(answer.body)]
        schema = either[0] if len(either) == 1 else {"anyOf": either}
        others = {name: _content({"type": "string"}, text) for name, text in answer.alternatives.items()}
        document["content"] = {answer.media_type: _content(schema, answer.example), **others}
    if answer.headers:
        text = {"type": "string"}
        document["headers"] = {
            name: {"description": says, "required": True, "schema": text} for name, says in answer.headers.items()
        }
    return document


def _content(schema: Schema, example: Any) -> Schema:
    return {"schema": schema} if example is None else {"schema": schema, "example": msgspec.to_builtins(example)}


def _kinds(body: Any) -> tuple[Any, ...]:
    return body if isinstance(body, tuple) else (body,)


def _problems(row: Row) -> dict[int, str]:
    reads_body = row.operation.body is not None
    told = {
        400: "The request is malformed, or its query is not what this route reads.",
        **(_OF_ACCESS if row.security else {}),
        **(_OF_BODIES if reads_body else {}),
        503: "Something that this needs does not answer; try again after the seconds in `Retry-After`.",
        **row.operation.problems,
    }
    return {status: text for status, text in told.items() if status not in row.operation.without}


_OF_ACCESS: Final = {401: "The credential is missing, or is not known here."}
_OF_BODIES: Final = {
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is of another media type than this route reads.",
    422: "The body breaks a rule; `errors` says where, and what would be right.",
}
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def _path_parameters(path: str, kind: type[Struct] | None) -> list[Schema]:
    described = {parameter["name"]: parameter for parameter in _parameters("path", kind)}
    plain = {"in": "path", "required": True, "schema": {"type": "string"}}
    return [described.get(name, {"name": name, **plain}) for name in _PATH_PARAMETER.findall(path)]


def _parameters(place: str, kind: type[Struct] | None) -> list[Schema]:
    if kind is None:
        return []
    _, components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    schema = components[kind.__name__]
    required = schema.get("required", [])
    return [
        _parameter(place, name, _given(properties), required=name in required)
        for name, properties in schema["properties"].items()
    ]


def _parameter(place: str, name: str, schema: Schema, *, required: bool) -> Schema:
    parameter: Schema = {"name": name, "in": place, "required": required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if "examples" in schema:
        parameter["example"] = schema["examples"][0]
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": True}
    return parameter


def _given(schema: Schema) -> Schema:
    """The schema of a parameter that is there: one that may be null is left out instead."""
    options = [option for option in schema.pop("anyOf", ()) if option != {"type": "null"}]
    if schema.get("default", ...) is None:
        del schema["default"]
    if len(options) > 1:
        schema["anyOf"] = options
    return {**schema, **(options[0] if len(options) == 1 else {})}
