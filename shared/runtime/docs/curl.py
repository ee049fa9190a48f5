"""Show an operation as a curl command with the examples of the OpenAPI document.

Values without an example are shell variables: `$URL`, one for the credential with its name, such as `$TOKEN`, and one
for each path parameter without an example.
"""

from collections.abc import Mapping
from shlex import quote
from typing import Any, Final
from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode

from shared.runtime.docs.openapi import Schema
from shared.runtime.docs.schemas import as_json, component_name
from shared.runtime.http.body import FORM

EVENT_STREAM: Final = "text/event-stream"


def curl_command(
    method: str, path: str, operation: Schema, schemas: Mapping[str, Schema], security_schemes: Mapping[str, Schema]
) -> str:
    """Return the command, one line per option, with the first of the operation's credentials.

    The query has only the required parameters.
    """
    scheme = next(iter(operation["security"][0]), "") if operation["security"] else ""
    credential = security_schemes.get(scheme, {})
    parameters = [each for each in operation.get("parameters", ()) if _is_shown(each)]
    options = [f'"{_url(path, parameters, schemas, credential)}"', *_authorization(scheme, credential)]
    headers = {each["name"]: _example(each, schemas) for each in parameters if each["in"] == "header"}
    options += [_header(name, value) for name, value in headers.items()]
    options += _body(operation.get("requestBody"), schemas)
    start = "curl" if method == "GET" else f"curl -X {method}"
    if any(EVENT_STREAM in answer.get("content", ()) for answer in operation["responses"].values()):
        start += " -N"
    return " \\\n  ".join([f"{start} {options[0]}", *options[1:]])


def example_of(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Return an example of the schema: its own or, for an object, one of each required field.

    An object without required fields gets an example of its first field.
    """
    schema = schemas.get(component_name(schema), schema)
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas)
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        names = [name for name in fields if name in schema.get("required", ())] or list(fields)[:1]
        return {name: example_of(fields[name], schemas) for name in names}
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas)]
    return schema.get("minimum", _PLAIN.get(schema.get("type", "")))


_PLAIN: Final = {"string": "…", "integer": 1, "number": 1, "boolean": True}


def _is_shown(parameter: Schema) -> bool:
    return parameter["required"] or (parameter["in"] == "header" and "example" in parameter)


def _url(path: str, parameters: list[Schema], schemas: Mapping[str, Schema], credential: Schema) -> str:
    query = []
    for each in parameters:
        if each["in"] == "path":
            value = each.get("example")
            segment = _variable(each["name"]) if value is None else percent_encoded(str(value), safe="")
            path = path.replace(f"{{{each['name']}}}", segment)
        if each["in"] == "query":
            value = _example(each, schemas)
            query.append((each["name"], value if isinstance(value, str | list) else as_json(value)))
    parts = [urlencode(query, doseq=True)] if query else []
    if credential.get("in") == "query":
        parts.insert(0, f"{credential['name']}={_variable(credential['name'])}")
    return f"$URL{path}" + ("?" + "&".join(parts) if parts else "")


def _authorization(scheme: str, credential: Schema) -> list[str]:
    match credential.get("scheme"):
        case "bearer":
            return [f'-H "Authorization: Bearer {_variable(scheme)}"']
        case "basic":
            return [f'-u "{_variable(scheme)}"']
    return []


def _variable(name: str) -> str:
    return f"${name.upper()}"


def _body(body: Schema | None, schemas: Mapping[str, Schema]) -> list[str]:
    """Return the options for the media type and the body, if a body is required."""
    if body is None or not body["required"]:
        return []
    media_type, content = next(iter(body["content"].items()))
    example = content["example"] if "example" in content else example_of(content["schema"], schemas)
    if media_type == FORM:
        return [f"--data-urlencode {quote(f'{name}={value}')}" for name, value in example.items()]
    return [_header("Content-Type", media_type), f"-d {quote(as_json(example))}"]


def _example(parameter: Schema, schemas: Mapping[str, Schema]) -> Any:
    return parameter["example"] if "example" in parameter else example_of(parameter["schema"], schemas)


def _header(name: str, value: object) -> str:
    return f"-H {quote(f'{name}: {value}')}"
