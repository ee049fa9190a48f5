"""Every example in the document is sent as it stands there, and answered like the one beside it."""

import argparse
import html
import json
import re
import shlex
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import pytest
from yarl import URL

from services.polls.payloads.fields import POLL_ID
from services.polls.routes import ROUTES
from tests.support.shapes import assert_same_shape
from tests.support.stack import Answer, Polls

pytestmark = pytest.mark.shared_services

EXAMPLE_ENDPOINT: Final = "A" * 27
OPERATIONS: Final = [(route.method, route.path) for route in ROUTES]


class Request(NamedTuple):
    """What is sent, with or without a token."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


class Scene(NamedTuple):
    """The poll that the examples speak of, and the document that they stand in."""

    polls: Polls
    poll_id: str
    document: Any

    def fitted(self, text: str) -> str:
        """The text with what is different here: the poll's id, and the site's endpoint."""
        return text.replace(POLL_ID, self.poll_id).replace(EXAMPLE_ENDPOINT, self.polls.endpoint)

    async def send(self, request: Request) -> Answer:
        """The answer, of an endless one what comes first."""
        headers = request.headers
        if "Authorization" not in headers and "token=" not in request.target:
            headers = {**headers, "Authorization": f"Bearer {self.polls.token}"}
        url = URL(self.polls.base + self.fitted(request.target), encoded=True)
        options: Any = {"data": request.body, "headers": headers, "skip_auto_headers": ["Content-Type"]}
        async with self.polls.session.request(request.method, url, **options) as response:
            body = await (first_event(response) if is_stream(response) else response.read())
            return Answer(response.status, response.headers, body)


def is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.content_type == "text/event-stream"


async def first_event(response: aiohttp.ClientResponse) -> bytes:
    """The one that is followed by others."""
    while not (event := await response.content.readuntil(b"\n\n")).startswith(b"id:"):
        pass
    return event


@pytest.fixture
async def scene(polls: Polls) -> Scene:
    """A poll made as the document says."""
    document = (await polls("GET", "/openapi.json")).json
    made = await polls.v1("POST", "/polls", example_body(document["paths"]["/v1/polls"]["post"]))
    assert made.status == 201, made.body
    return Scene(polls, made.json["id"], document)


async def vote(scene: Scene) -> None:
    """The vote that the document has as its example."""
    path = "/v1/polls/{id}/votes/{participant}"
    cast = await scene.send(request_of("PUT", path, scene.document["paths"][path]["put"]))
    assert cast.status == 201, cast.body


def example_body(operation: Any) -> bytes | None:
    """Of what is sent."""
    if "requestBody" not in operation:
        return None
    return msgspec.json.encode(next(iter(operation["requestBody"]["content"].values()))["example"])


def request_of(method: str, path: str, operation: Any) -> Request:
    """The example, with every parameter that has one."""
    given: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
    for parameter in operation.get("parameters", ()):
        if "example" in parameter or parameter["required"]:
            const = parameter["schema"].get("enum", [None])[0]
            given[parameter["in"]][parameter["name"]] = parameter.get("example", const)
    for name, value in given["path"].items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    body = example_body(operation)
    if body is not None:
        given["header"]["Content-Type"] = next(iter(operation["requestBody"]["content"]))
    return Request(method, f"{path}?{urlencode(given['query'])}", given["header"], body)


def success_of(operation: Any) -> tuple[int, Any]:
    """The first way in which it succeeds."""
    return next((int(status), told) for status, told in operation["responses"].items() if status.startswith("2"))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_an_example_is_answered_like_the_one_beside_it(scene: Scene, method: str, path: str) -> None:
    operation = scene.document["paths"][path][method.lower()]
    status, told = success_of(operation)
    if operation["operationId"] != "cast_ballot":
        await vote(scene)
    if operation["operationId"] == "show_results":
        assert (await scene.polls.vote(scene.poll_id, "grace", "mon")).status == 201
        assert (await scene.polls.vote(scene.poll_id, "edsger", "tue")).status == 201

    answer = await scene.send(request_of(method, path, operation))

    assert answer.status == status, answer.body
    assert told.get("headers", {}).keys() <= answer.headers.keys()
    if "content" not in told:
        assert answer.body == b""
        return
    media_type, content = next(iter(told["content"].items()))
    assert answer.headers["Content-Type"].startswith(media_type)
    if media_type == "application/json":
        assert_same_shape(answer.json, content["example"])
        assert told_alike(answer.json) == told_alike(content["example"])
    else:
        assert_same_event(answer.body.decode(), content["example"])


OF_THE_MOMENT: Final = {"id", "createdAt", "updatedAt", "castAt", "calculatedAt"}
"""What is another in each answer; options and templates are known by their titles all the same."""


def told_alike(value: Any) -> Any:
    """What an answer says, without what no two answers have in common."""
    if isinstance(value, dict):
        return {name: told_alike(inner) for name, inner in value.items() if name not in OF_THE_MOMENT}
    return [told_alike(inner) for inner in value] if isinstance(value, list) else value


def assert_same_event(event: str, example: str) -> None:
    """The same fields, and the same shape of data."""
    (fields, example_fields) = (
        dict(line.split(": ", 1) for line in each.splitlines() if line) for each in (event, example)
    )

    assert fields.keys() == example_fields.keys()
    assert fields["event"] == example_fields["event"]
    assert_same_shape(json.loads(fields["data"]), json.loads(example_fields["data"]))


async def test_the_other_media_type_of_results_is_as_its_example(scene: Scene) -> None:
    path = "/v1/polls/{id}/results"
    operation = scene.document["paths"][path]["get"]
    example = success_of(operation)[1]["content"]["text/csv"]["example"]
    await vote(scene)

    answer = await scene.send(request_of("GET", path, operation)._replace(headers={"Accept": "text/csv"}))

    first, *rows = answer.body.decode().removeprefix("\ufeff").splitlines()
    assert first == example.removeprefix("\ufeff").splitlines()[0]
    assert len(rows) == 2


async def test_the_example_of_a_patch_is_answered_with_what_it_asks_for(scene: Scene) -> None:
    operation = scene.document["paths"]["/v1/polls/{id}"]["patch"]
    patch = msgspec.json.decode(example_body(operation) or b"")

    answered = success_of(operation)[1]["content"]["application/json"]["example"]

    assert answered["settings"].items() >= patch["settings"].items()
    assert answered["etag"] == '"2"'


async def test_examples_of_idempotency_keys_are_one_for_each_route(scene: Scene) -> None:
    keys = [
        parameter["example"]
        for methods in scene.document["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "Idempotency-Key"
    ]

    assert len(set(keys)) == len(keys) == 2


async def test_every_operation_has_examples_of_what_it_takes_and_answers(scene: Scene) -> None:
    for path, methods in scene.document["paths"].items():
        for method, operation in methods.items():
            told = success_of(operation)[1]
            contents = [
                *operation.get("requestBody", {}).get("content", {}).values(),
                *told.get("content", {}).values(),
            ]
            required = [each for each in operation.get("parameters", ()) if each["required"]]

            assert all("example" in content for content in contents), (method, path)
            assert all("example" in each or "enum" in each["schema"] for each in required), (method, path)


@pytest.mark.parametrize("name", ["create_poll", "change_poll", "follow_poll", "list_contract_polls"])
async def test_a_command_on_the_page_works_in_a_shell(scene: Scene, name: str) -> None:
    page = (await scene.polls("GET", "/docs")).body.decode()
    shown = re.search(rf'<article id="operation-{name}">.*?<code>(curl .*?)</code>', page, re.DOTALL)
    assert shown is not None

    answer = await scene.send(sent_by(html.unescape(shown[1]), scene.polls.token))

    assert answer.status in (200, 201), answer.body


def sent_by(command: str, token: str) -> Request:
    """What curl would send."""
    line = command.replace("\\\n", "").replace("$TOKEN", token).replace("$URL", "")
    options = argparse.ArgumentParser(exit_on_error=False)
    options.add_argument("curl")
    options.add_argument("url")
    options.add_argument("-N", action="store_true")
    options.add_argument("-X", default="GET")
    options.add_argument("-H", action="append", default=[])
    options.add_argument("-d")
    given = options.parse_args(shlex.split(line))
    headers = dict(header.split(": ", 1) for header in given.H)
    return Request(given.X, given.url, headers, given.d.encode() if given.d else None)
