"""Generate the OpenAPI 3.1 document of a service from the types that its handlers use."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from shared.runtime.http.endpoint import Operation, Response
from shared.runtime.http.problem import OAUTH_JSON, PROBLEM_JSON, ProblemDocument
from shared.runtime.http.routes import Route

OPENAPI_ROUTE: Final = "/openapi.json"

Schema = dict[str, Any]


class _Row(NamedTuple):
    """A route that is part of the document."""

    route: Route
    name: str
    operation: Operation


def openapi_document(info: Schema, routes: Iterable[Route], security_schemes: Mapping[str, Schema]) -> Schema:
    """Return the document. Each Struct becomes a shared component; every error is a `ProblemDocument`."""
    rows = [_Row(route, route.endpoint.name, operation) for route in routes if (operation := _describe(route))]
    schemas, components = _schemas(rows)
    paths: dict[str, Schema] = {}
    for row in rows:
        paths.setdefault(row.route.path, {})[row.route.method.lower()] = _operation(row, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": info,
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": dict(security_schemes)},
    }


def _describe(route: Route) -> Operation | None:
    operation = route.endpoint.operation
    return None if operation is None else route.access.describe(operation)


def _schemas(rows: Iterable[_Row]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """Return the schema of each body type, and the components that they refer to."""
    bodies = [row.operation.body for row in rows]
    responses = [
        kind for row in rows for response in row.operation.responses.values() for kind in _body_types(response.body)
    ]
    kinds = list(dict.fromkeys(kind for kind in [*bodies, *responses, ProblemDocument] if kind is not None))
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for component in components.values():
        if "description" in component:  # a docstring: in Markdown, its indentation would be code
            component["description"] = inspect.cleandoc(component["description"])
    return dict(zip(kinds, schemas, strict=True)), components


def _operation(row: _Row, schemas: Mapping[Any, Schema], components: Mapping[str, Schema]) -> Schema:
    operation = row.operation
    texts = {"operationId": row.name, "summary": operation.summary, "description": operation.description}
    document: Schema = {name: text for name, text in texts.items() if text}
    if operation.tags:
        document["tags"] = list(operation.tags)
    parameters = _path_parameters(row.route.path, operation.path)
    parameters += [*_parameters("query", operation.query), *_parameters("header", operation.headers)]
    if parameters:
        document["parameters"] = parameters
    if operation.body is not None:
        content = _content(schemas[operation.body], operation.body_example)
        document["requestBody"] = {
            "required": operation.body_required,
            "content": dict.fromkeys(_each(operation.media_type), content),
        }
    media_types = (OAUTH_JSON, PROBLEM_JSON) if row.route.reports_oauth_errors else (PROBLEM_JSON,)
    problem = {media_type: {"schema": schemas[ProblemDocument]} for media_type in media_types}
    document["responses"] = {
        **{str(status): _response(response, schemas) for status, response in operation.responses.items()},
        **{str(status): {"description": text, "content": problem} for status, text in sorted(_problems(row).items())},
        "default": {"description": "Any other error.", "content": problem},
    }
    document["security"] = [{scheme: []} for scheme in row.route.access.security]
    return document


def _each(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _response(response: Response, schemas: Mapping[Any, Schema]) -> Schema:
    document: Schema = {"description": response.description}
    if response.body is not None:
        either = [schemas[kind] for kind in _body_types(response.body)]
        schema = either[0] if len(either) == 1 else {"anyOf": either}
        others = {name: _content({"type": "string"}, text) for name, text in response.alternatives.items()}
        document["content"] = {response.media_type: _content(schema, response.example), **others}
    if response.headers:
        text = {"type": "string"}
        document["headers"] = {
            name: {"description": says, "required": True, "schema": text} for name, says in response.headers.items()
        }
    return document


def _content(schema: Schema, example: Any) -> Schema:
    return {"schema": schema} if example is None else {"schema": schema, "example": msgspec.to_builtins(example)}


def _body_types(body: Any) -> tuple[Any, ...]:
    return body if isinstance(body, tuple) else (body,)


def _problems(row: _Row) -> dict[int, str]:
    reads_body = row.operation.body is not None
    problems = {
        400: "The request or its query is invalid.",
        **(_OF_ACCESS if row.route.access.security else {}),
        **(_OF_BODIES if reads_body else {}),
        503: "A dependency of the service does not respond; try again after the seconds in `Retry-After`.",
        **row.operation.problems,
    }
    return {status: text for status, text in problems.items() if status not in row.operation.without}


_OF_ACCESS: Final = {401: "The credential is missing or unknown."}
_OF_BODIES: Final = {
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The route does not support the body's media type.",
    422: "The body is not valid; `errors` says where, and what is expected.",
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
        _parameter(place, name, _without_null(properties), required=name in required)
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


def _without_null(schema: Schema) -> Schema:
    """Return the schema without null: a parameter that may be null is omitted instead."""
    options = [option for option in schema.pop("anyOf", ()) if option != {"type": "null"}]
    if schema.get("default", ...) is None:
        del schema["default"]
    if len(options) > 1:
        schema["anyOf"] = options
    return {**schema, **(options[0] if len(options) == 1 else {})}
