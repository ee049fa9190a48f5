"""Show an operation as a curl command that works as it is pasted, once the variables of its page are set.

Credentials and ids are shell variables. Everything else has the examples of the OpenAPI document.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote as percent_encoded

from shared.runtime.docs.openapi import Schema
from shared.runtime.docs.schemas import as_json, component_name
from shared.runtime.docs.variables import Variables
from shared.runtime.http.body import FORM

EVENT_STREAM: Final = "text/event-stream"


class CurlCommands:
    """Writes the commands of a document with these components, for a page with these variables."""

    def __init__(self, components: Schema, variables: Variables) -> None:
        self._schemas: Mapping[str, Schema] = components["schemas"]
        self._security_schemes: Mapping[str, Schema] = components["securitySchemes"]
        self._variables = variables

    def command(self, method: str, path: str, operation: Schema) -> str:
        """Return the command, one line per option, with the first of the operation's credentials.

        It has only what is required: an optional header such as `If-Match` or `Idempotency-Key` would make it fail or
        do nothing when it is pasted again.
        """
        scheme = next(iter(operation["security"][0]), "") if operation["security"] else ""
        parameters = [each for each in operation.get("parameters", ()) if each["required"]]
        headers = {each["name"]: self._example(each) for each in parameters if each["in"] == "header"}
        options = [
            f'"{self._url(path, parameters, scheme)}"',
            *self._authorization(scheme),
            *(self._header(name, value) for name, value in headers.items()),
            *self._body(operation.get("requestBody")),
        ]
        start = "curl" if method == "GET" else f"curl -X {method}"
        if any(EVENT_STREAM in answer.get("content", ()) for answer in operation["responses"].values()):
            start += " -N"
        return " \\\n  ".join([f"{start} {options[0]}", *options[1:]])

    def _url(self, path: str, parameters: list[Schema], scheme: str) -> str:
        credential = self._security_schemes.get(scheme, {})
        url, query = self._variables.url_of(path), []
        if credential.get("in") == "query":
            query.append(f"{credential['name']}={self._variables.of_scheme(scheme)}")
        for each in parameters:
            if each["in"] == "path":
                url = url.replace(f"{{{each['name']}}}", self._path_segment(each))
            if each["in"] == "query":
                value = self._example(each)
                values = value if isinstance(value, list) else [value]
                query += [f"{each['name']}={self._query_value(one)}" for one in values]
        return url + ("?" + "&".join(query) if query else "")

    def _path_segment(self, parameter: Schema) -> str:
        value = parameter.get("example")
        if value is None:
            return self._variables.of_parameter(parameter["name"])
        return self._variables.reference(str(value)) or percent_encoded(str(value), safe="")

    def _query_value(self, value: Any) -> str:
        text = value if isinstance(value, str) else as_json(value)
        return self._variables.reference(text) or percent_encoded(text, safe="")

    def _authorization(self, scheme: str) -> list[str]:
        match self._security_schemes.get(scheme, {}).get("scheme"):
            case "bearer":
                return [f'-H "Authorization: Bearer {self._variables.of_scheme(scheme)}"']
            case "basic":
                return [f'-u "{self._variables.of_scheme(scheme)}"']
        return []

    def _body(self, body: Schema | None) -> list[str]:
        """Return the options for the media type and the body, if a body is required."""
        if body is None or not body["required"]:
            return []
        media_type, content = next(iter(body["content"].items()))
        example = content["example"] if "example" in content else example_of(content["schema"], self._schemas)
        if media_type == FORM:
            fields = (f"{name}={value}" for name, value in example.items())
            return [f"--data-urlencode {self._variables.shell_word(field)}" for field in fields]
        return [self._header("Content-Type", media_type), f"-d {self._variables.shell_word(as_json(example))}"]

    def _example(self, parameter: Schema) -> Any:
        return parameter["example"] if "example" in parameter else example_of(parameter["schema"], self._schemas)

    def _header(self, name: str, value: object) -> str:
        return f"-H {self._variables.shell_word(f'{name}: {value}')}"


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
