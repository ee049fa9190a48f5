"""A JSON body must be I-JSON, including ignored fields, and no longer than its route allows."""

import asyncio
import io
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient

from tests.support.example_requests import BATCH_BYTES, create_example_requests_app
from tests.support.example_service import SHEPHERD

Client = TestClient[Request, Application]

LONG = "x" * 10_000


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run the example service."""
    return await aiohttp_client(create_example_requests_app())


async def problem_of(client: Client, body: bytes, status: int, path: str = "/counts") -> Any:
    headers = {"Content-Type": "application/json", "Authorization": SHEPHERD}
    async with client.post(path, data=body, headers=headers) as response:
        document = await response.json(content_type="application/problem+json")
    assert response.status == status, document
    return document


REPEATED = [
    (b'{"sheep": 1, "sheep": 1}', ["/sheep"]),
    (b'{"sheep": 1, "x": {"y": [0, {"a/b": 1, "a/b": 2}]}}', ["/x/y/1/a~1b"]),
    (b'{"sheep": 1, "\\u0073heep": 2, "": 1, "": {"z": 1, "z": 1}}', ["/sheep", "/", "//z"]),
    (b'{"sheep": "x", "x": {}, "x": {}}', ["/x"]),
]


@pytest.mark.parametrize(("body", "pointers"), REPEATED)
async def test_duplicate_name_in_an_object_returns_400_with_pointer(
    client: Client, body: bytes, pointers: list[str]
) -> None:
    problem = await problem_of(client, body, 400)

    assert [error["pointer"] for error in problem["errors"]] == pointers


async def test_many_duplicate_names_return_400_with_20_errors(client: Client) -> None:
    problem = await problem_of(client, b'{"sheep": 1' + b', "x": 0' * 5000 + b"}", 400)

    assert len(problem["errors"]) == 20


async def test_same_name_in_several_objects_returns_200(client: Client) -> None:
    body = b'{"sheep": 1, "x": [{"sheep": 1}, {"sheep": 1}]}'

    assert (await client.post("/counts", data=body)).status == 200


def as_ignored_field(value: bytes) -> bytes:
    """Return a body with the value in an ignored field."""
    return b'{"sheep": 1, "x": ' + value + b"}"


MALFORMED = [
    (b"", "The body is empty."),
    (b"\xef\xbb\xbf" + as_ignored_field(b"1"), "byte order mark"),
    (as_ignored_field(b'"\xff"'), "not UTF-8: invalid byte at position 20"),
    (as_ignored_field(b'"\xed\xa0\x80"'), "not UTF-8: invalid byte at position 20"),
    (as_ignored_field(b'"\\ud800"'), "half of a surrogate pair, \\ud800, at character 20"),
    (as_ignored_field(b'"\\\\\\uD800\\u0041"'), "half of a surrogate pair, \\uD800"),
    (as_ignored_field(b'"\\udc00\\ud800"'), "half of a surrogate pair, \\udc00"),
    (as_ignored_field(b'{"\\udfff": 1}'), "half of a surrogate pair, \\udfff"),
    (as_ignored_field(b"NaN"), "NaN is not a JSON number"),
    (as_ignored_field(b"-Infinity"), "-Infinity is not a JSON number"),
    (as_ignored_field(b'"\n"'), "not JSON: Invalid control character at, at line 1, column 20"),
    (as_ignored_field(b"01"), "not JSON"),
    (as_ignored_field(b"1") + b"{}", "not JSON: Extra data, at line 1, column 21"),
    (as_ignored_field(b"[" * 99 + b"1" + b"]" * 99) + b"]", "not JSON"),
    (as_ignored_field(b"[" * 100 + b"]" * 100), "nested too deeply: more than 100"),
    (as_ignored_field(b'{"a":' * 100 + b"1" + b"}" * 100), "nested too deeply: more than 100"),
    (as_ignored_field(b'{"a":[' * 50 + b'{"a": 1, "a": 1}' + b"]}" * 50), "nested too deeply: more than 100"),
    (as_ignored_field(b"[" * 5_000 + b"]" * 5_000), "nested too deeply: more than 100"),
    (as_ignored_field(b"[" * 30_000 + b"]" * 30_000), "more than 6,000 values"),
    (as_ignored_field(b"[" + b"1," * 6_000 + b"1]"), "more than 6,000 values"),
    (as_ignored_field(b"[" + rb'"\",[",' * 6_000 + b"1]"), "more than 6,000 values"),
]


@pytest.mark.parametrize(("body", "sentence"), MALFORMED)
async def test_invalid_i_json_in_an_ignored_field_returns_400(client: Client, body: bytes, sentence: str) -> None:
    problem = await problem_of(client, body, 400)

    assert sentence in problem["detail"]


@pytest.mark.parametrize(
    "value",
    [
        b'"\\ud83d\\ude00 \\\\ud800 \\u0041"',
        "\U0001f600".encode(),
        b"[" * 99 + b"]" * 99,
        b"[" + b"[], " * 500 + b"{}]",
        b"1e400",
        b"9" * 5000,
        b"false",
        b",[{" * 10_000,
        b'\\",[' * 10_000 + b"\\\\",
        b"[" + b"1," * 5_990 + b"1]",
    ],
)
async def test_valid_i_json_in_an_ignored_field_returns_200(client: Client, value: bytes) -> None:
    text = value if value[:1] in b'"[1f9' else b'"' + value + b'"'

    assert (await client.post("/counts", data=as_ignored_field(text))).status == 200


INT64 = "from -9223372036854775808 to 9223372036854775807"
TOO_LARGE = [
    (b'{"sheep": 9223372036854775808}', "/sheep", f"expected a whole number {INT64}"),
    (b'{"sheep": -9223372036854775809}', "/sheep", f"expected a whole number {INT64}"),
    (b'{"sheep": 1, "years": [1, %s]}' % (b"9" * 400), "/years/1", f"expected a whole number {INT64}"),
    (b'{"sheep": %s}' % (b"9" * 5000), "/sheep", "expected a whole number, got a number that is too large"),
    (b'{"sheep": 1e400}', "/sheep", "expected a whole number, got a number that is too large"),
    (b'{"sheep": 1, "weight": -1e400}', "/weight", "expected a number, got a number that is too large"),
    (b'{"sheep": 1, "weight": %s}' % (b"9" * 400), "/weight", "expected a number, got a number that is too large"),
]


@pytest.mark.parametrize(("body", "pointer", "detail"), TOO_LARGE)
async def test_number_out_of_range_returns_422_with_pointer(
    client: Client, body: bytes, pointer: str, detail: str
) -> None:
    problem = await problem_of(client, body, 422)

    assert problem["errors"] == [{"detail": detail, "pointer": pointer}]


@pytest.mark.parametrize("value", [b"1e400", b"[1, [-1e400]]", b'{"a": {"b": %s}}' % (b"9" * 5000)])
async def test_number_out_of_range_in_an_untyped_field_returns_422(client: Client, value: bytes) -> None:
    async with client.patch("/flocks/dolly", data=b'{"sheep": ' + value + b"}") as response:
        problem = await response.json(content_type="application/problem+json")

    assert (response.status, problem["errors"][0]["detail"]) == (422, "contains a number that is too large")


async def test_largest_numbers_return_200(client: Client) -> None:
    body = b'{"sheep": 9223372036854775807, "weight": 99999999999999999999, "years": [-9223372036854775808]}'

    async with client.post("/counts", data=body) as response:
        count = (await response.json())["count"]

    assert count == {"sheep": 2**63 - 1, "weight": 1e20, "years": [-(2**63)]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/counts", f'{{"{LONG}": 1, "{LONG}": 2}}', 400),
        ("/counts", '{"x": [{"' + '": {"'.join(["y" * 50] * 60) + '": 1, "z": 1, "z": 1' + "}" * 60 + "]}", 400),
        ("/flocks", f'{{"{LONG}": 1}}', 422),
        ("/flocks", f'{{"name": "{LONG}", "sheep": 1, "ages": {{"{LONG}": "{LONG}"}}, "colour": "{LONG}"}}', 422),
    ],
)
async def test_error_repeats_at_most_100_characters_of_a_body(
    client: Client, path: str, body: str, status: int
) -> None:
    problem = await problem_of(client, body.encode(), status, path)

    assert all(len(error["pointer"]) <= 100 for error in problem["errors"])
    assert len(str(problem)) < 2000


async def test_400_for_a_long_form_repeats_little_of_the_form(client: Client) -> None:
    async with client.post("/whistle", data={"tune": LONG, "times": LONG}) as response:
        assert response.status == 400
        assert len(await response.text()) < 2000


def flocks(size: int) -> bytes:
    """Return a body of `size` bytes."""
    flock = b'{"name": "dolly", "sheep": 3}'
    return b"[" + b" " * (size - len(flock) - 2) + flock + b"]"


async def pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    """Yield the body in chunks, so that it is sent without a Content-Length."""
    for start in range(0, len(body), 16_384):
        yield body[start : start + 16_384]


@pytest.mark.parametrize("streamed", [False, True])
async def test_body_as_large_as_its_route_allows_returns_200(client: Client, streamed: bool) -> None:
    body = flocks(BATCH_BYTES)

    async with client.post("/flocks:batch", data=pieces(body) if streamed else io.BytesIO(body)) as response:
        assert await response.json() == {"formed": 1}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("path", "limit", "words"), [("/counts", 65_536, "64 KiB"), ("/flocks:batch", 2**20, "1 MiB")])
async def test_body_beyond_the_limit_of_its_route_returns_413_with_the_limit(
    client: Client, path: str, limit: int, words: str, streamed: bool
) -> None:
    body = flocks(limit + 1)

    async with client.post(path, data=pieces(body) if streamed else io.BytesIO(body)) as response:
        problem = await response.json(content_type="application/problem+json")

    assert (response.status, problem["type"]) == (413, "/docs/problems/request-entity-too-large")
    assert problem["detail"] == f"The body is larger than {words}, the limit of this route."


async def test_unfinished_body_beyond_its_limit_returns_413_at_once(client: Client) -> None:
    async def unfinished() -> AsyncGenerator[bytes, None]:
        yield b" " * 65_537
        await asyncio.Event().wait()

    async with asyncio.timeout(5), client.post("/counts", data=unfinished()) as response:
        assert response.status == 413
