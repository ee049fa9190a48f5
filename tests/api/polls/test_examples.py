"""Every example request in the OpenAPI document, sent unchanged, returns a response like the example response."""

import json
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import pytest
from yarl import URL

from services.polls.payloads.fields import LINK_ID, POLL_ID
from services.polls.routes import ROUTES
from tests.support.json_shape import assert_same_shape
from tests.support.stack import Answer, Polls

pytestmark = pytest.mark.shared_services

EXAMPLE_ENDPOINT: Final = "A" * 27
OPERATIONS: Final = [(route.method, route.path) for route in ROUTES]


class Request(NamedTuple):
    """A request, with or without a token."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


class ExamplePoll(NamedTuple):
    """The poll in the examples, and the OpenAPI document with the examples."""

    polls: Polls
    poll_id: str
    document: Any
    link_id: str = LINK_ID

    def localize(self, text: str) -> str:
        """Return the text with the ids of the poll, link and site in place of those of the example."""
        mine = {POLL_ID: self.poll_id, LINK_ID: self.link_id, EXAMPLE_ENDPOINT: self.polls.endpoint}
        for example, own in mine.items():
            text = text.replace(example, own)
        return text

    async def send(self, request: Request) -> Answer:
        """Send the request and return the response; of a stream, the first event."""
        headers = request.headers
        if "Authorization" not in headers and "token=" not in request.target:
            headers = {**headers, "Authorization": f"Bearer {self.polls.token}"}
        url = URL(self.polls.base + self.localize(request.target), encoded=True)
        options: Any = {"data": request.body, "headers": headers, "skip_auto_headers": ["Content-Type"]}
        async with self.polls.session.request(request.method, url, **options) as response:
            body = await (first_event(response) if is_stream(response) else response.read())
            return Answer(response.status, response.headers, body)


def is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.content_type == "text/event-stream"


async def first_event(response: aiohttp.ClientResponse) -> bytes:
    """Return the first event, without the `retry` field before it."""
    while not (event := await response.content.readuntil(b"\n\n")).startswith(b"id:"):
        pass
    return event


@pytest.fixture
async def example_poll(polls: Polls) -> ExamplePoll:
    """Create the poll of the example."""
    document = (await polls("GET", "/openapi.json")).json
    made = await polls.v1("POST", "/polls", example_body(document["paths"]["/v1/polls"]["post"]))
    assert made.status == 201, made.body
    return ExamplePoll(polls, made.json["id"], document)


async def create_example_link(example_poll: ExamplePoll) -> ExamplePoll:
    """Create the link of the example."""
    path = "/v1/polls/{id}/links"
    made = await example_poll.send(example_request("POST", path, example_poll.document["paths"][path]["post"]))
    assert made.status == 201, made.body
    return example_poll._replace(link_id=made.json["id"])


async def cast_example_ballot(example_poll: ExamplePoll) -> None:
    """Cast the ballot of the example."""
    path = "/v1/polls/{id}/votes/{participant}"
    cast = await example_poll.send(example_request("PUT", path, example_poll.document["paths"][path]["put"]))
    assert cast.status == 201, cast.body


def example_body(operation: Any) -> bytes | None:
    """Return the example of the request body."""
    if "requestBody" not in operation:
        return None
    return msgspec.json.encode(next(iter(operation["requestBody"]["content"].values()))["example"])


def example_request(method: str, path: str, operation: Any) -> Request:
    """Return the example request, with every parameter that has an example."""
    parameters: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
    for parameter in operation.get("parameters", ()):
        if "example" in parameter or parameter["required"]:
            const = parameter["schema"].get("enum", [None])[0]
            parameters[parameter["in"]][parameter["name"]] = parameter.get("example", const)
    for name, value in parameters["path"].items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    body = example_body(operation)
    if body is not None:
        parameters["header"]["Content-Type"] = next(iter(operation["requestBody"]["content"]))
    return Request(method, f"{path}?{urlencode(parameters['query'])}", parameters["header"], body)


def success_response(operation: Any) -> tuple[int, Any]:
    """Return the first successful status, and its documentation."""
    return next(
        (int(status), documented) for status, documented in operation["responses"].items() if status.startswith("2")
    )


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_request_of_example_returns_example_response(example_poll: ExamplePoll, method: str, path: str) -> None:
    operation = example_poll.document["paths"][path][method.lower()]
    status, documented = success_response(operation)
    if operation["operationId"] != "cast_ballot":
        await cast_example_ballot(example_poll)
    if path.startswith("/v1/polls/{id}/links") and method != "POST":
        example_poll = await create_example_link(example_poll)
    if operation["operationId"] == "show_results":
        assert (await example_poll.polls.vote(example_poll.poll_id, "grace", "mon")).status == 201
        assert (await example_poll.polls.vote(example_poll.poll_id, "edsger", "tue")).status == 201

    answer = await example_poll.send(example_request(method, path, operation))

    assert answer.status == status, answer.body
    assert documented.get("headers", {}).keys() <= answer.headers.keys()
    if "content" not in documented:
        assert answer.body == b""
        return
    media_type, content = next(iter(documented["content"].items()))
    assert answer.headers["Content-Type"].startswith(media_type)
    if media_type == "application/json":
        assert_same_shape(answer.json, content["example"])
        assert without_varying_fields(answer.json) == without_varying_fields(content["example"])
    else:
        assert_same_event(answer.body.decode(), content["example"])


VARYING: Final = {"id", "createdAt", "updatedAt", "castAt", "calculatedAt", "ticket"} | {
    *("at", "actor_id", "address", "request_id", "subject", "hash"),  # of an audit record
    *("url", "hint", "createdBy"),  # of a link
}
"""Fields that differ in each response. Options and templates are compared by their titles."""


def without_varying_fields(value: Any) -> Any:
    """Return the value without the fields that differ in each response."""
    if isinstance(value, dict):
        return {name: without_varying_fields(inner) for name, inner in value.items() if name not in VARYING}
    return [without_varying_fields(inner) for inner in value] if isinstance(value, list) else value


def assert_same_event(event: str, example: str) -> None:
    """Assert that the event has the fields of the example, and data of the same shape."""
    (fields, example_fields) = (
        dict(line.split(": ", 1) for line in each.splitlines() if line) for each in (event, example)
    )

    assert fields.keys() == example_fields.keys()
    assert fields["event"] == example_fields["event"]
    assert_same_shape(json.loads(fields["data"]), json.loads(example_fields["data"]))


async def test_results_as_csv_have_columns_of_example(example_poll: ExamplePoll) -> None:
    path = "/v1/polls/{id}/results"
    operation = example_poll.document["paths"][path]["get"]
    example = success_response(operation)[1]["content"]["text/csv"]["example"]
    await cast_example_ballot(example_poll)

    answer = await example_poll.send(example_request("GET", path, operation)._replace(headers={"Accept": "text/csv"}))

    first, *rows = answer.body.decode().removeprefix("\ufeff").splitlines()
    assert first == example.removeprefix("\ufeff").splitlines()[0]
    assert len(rows) == 2


async def test_example_response_of_patch_has_changes_of_example_request(example_poll: ExamplePoll) -> None:
    operation = example_poll.document["paths"]["/v1/polls/{id}"]["patch"]
    patch = msgspec.json.decode(example_body(operation) or b"")

    documented = success_response(operation)[1]["content"]["application/json"]["example"]

    assert documented["settings"].items() >= patch["settings"].items()
    assert documented["etag"] == '"2"'


async def test_example_idempotency_keys_differ_between_routes(example_poll: ExamplePoll) -> None:
    keys = [
        parameter["example"]
        for methods in example_poll.document["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "Idempotency-Key"
    ]

    assert len(set(keys)) == len(keys) == 2


async def test_every_operation_has_examples_of_request_and_response(example_poll: ExamplePoll) -> None:
    for path, methods in example_poll.document["paths"].items():
        for method, operation in methods.items():
            documented = success_response(operation)[1]
            contents = [
                *operation.get("requestBody", {}).get("content", {}).values(),
                *documented.get("content", {}).values(),
            ]
            required = [each for each in operation.get("parameters", ()) if each["required"]]

            assert all("example" in content for content in contents), (method, path)
            assert all("example" in each or "enum" in each["schema"] for each in required), (method, path)
