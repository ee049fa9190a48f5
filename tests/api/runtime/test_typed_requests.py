"""Queries, forms and JSON bodies become typed values, or problems that list every error."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from tests.support.example_service import SHEPHERD, create_example_app

Client = TestClient[Request, Application]
Faults = list[dict[str, str]]

PYTHON_NAMES = ("`", "str", "int", "bool", "datetime", "Struct", "array")


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run the example service."""
    return await aiohttp_client(create_example_app())


async def errors_of(client: Client, method: str, path: str, status: int, **options: Any) -> Faults:
    async with client.request(method, URL(path, encoded=True), **options) as response:
        document = await response.json(content_type="application/problem+json")
    assert response.status == status, document
    for fault in document["errors"]:
        words = fault["detail"].replace("'", " ").replace(",", " ").split()
        assert not set(words) & set(PYTHON_NAMES), fault
    return list(document["errors"])


COLOURS = "expected a list of at most 2 values, each 'black' or 'white'"
QUERIES = [
    ("limit=x", "limit", "expected a whole number from 1 to 100"),
    ("limit=", "limit", "expected a whole number from 1 to 100"),
    ("limit=0", "limit", "expected a whole number from 1 to 100"),
    ("limit=%2B5", "limit", "expected a whole number from 1 to 100"),
    ("limit=1e1", "limit", "expected a whole number from 1 to 100"),
    ("limit=" + "9" * 5000, "limit", "expected a whole number from 1 to 100"),
    ("lambs=1", "lambs", "expected true or false"),
    ("lambs=TRUE", "lambs", "expected true or false"),
    ("shorn_before=1700000000", "shorn_before", "expected a time such as 2026-11-30T12:00:00Z"),
    ("shorn_before=2026-11-30T12:00:00", "shorn_before", "expected a time such as 2026-11-30T12:00:00Z"),
    ("shorn_before=null", "shorn_before", "expected a time such as 2026-11-30T12:00:00Z"),
    ("colour=blue", "colour", "expected a list of at most 2 values, each 'black' or 'white'"),
    ("colour=black,white", "colour", "expected a list of at most 2 values, each 'black' or 'white'"),
    (
        "colour=black&colour=black&colour=white",
        "colour",
        "expected a list of at most 2 values, each 'black' or 'white'",
    ),
    ("limit=1&limit=2", "limit", "expected one value, got 2"),
    ("near=%00", "near", "remove the NUL character"),
    ("wool=1", "wool", "unknown field; expected one of: limit, lambs, shorn_before, colour, near"),
]


@pytest.mark.parametrize(("query", "parameter", "detail"), QUERIES)
async def test_invalid_query_returns_400_with_what_is_expected(
    client: Client, query: str, parameter: str, detail: str
) -> None:
    faults = await errors_of(client, "GET", f"/flocks?{query}", 400)

    assert faults == [{"detail": detail, "parameter": parameter}]


async def test_query_with_several_errors_returns_400_with_all_of_them(client: Client) -> None:
    faults = await errors_of(client, "GET", "/flocks?wool=1&limit=0&lambs=maybe&near=a&near=b&colour=black", 400)

    assert [fault["parameter"] for fault in faults] == ["wool", "limit", "lambs", "near"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "limit=100&lambs=false&near=",
        "near=5",
        "near=true",
        "colour=black&colour=white",
        "shorn_before=2026-11-30T12:00:00.5%2B01:00",
    ],
)
async def test_valid_query_returns_200(client: Client, query: str) -> None:
    assert (await client.get(URL(f"/flocks?{query}", encoded=True))).status == 200


BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": 5}, "/name", "expected text that matches ^[a-z]{1,20}$, got a whole number"),
    ({"name": "A"}, "/name", "expected text that matches ^[a-z]{1,20}$"),
    ({"sheep": 0}, "/sheep", "expected a whole number from 1 to 1000"),
    ({"sheep": 1.5}, "/sheep", "expected a whole number from 1 to 1000, got a number"),
    ({"sheep": None}, "/sheep", "expected a whole number from 1 to 1000, got null"),
    ({"sheep": 10**40}, "/sheep", "expected a whole number from 1 to 1000"),
    ({"colour": "blue"}, "/colour", "expected 'black' or 'white'"),
    ({"colour": True}, "/colour", "expected 'black' or 'white', got true or false"),
    ({"shorn_at": "soon"}, "/shorn_at", "expected a time such as 2026-11-30T12:00:00Z"),
    ({"shorn_at": "2026-11-30T12:00:00"}, "/shorn_at", "expected a time such as 2026-11-30T12:00:00Z"),
    ({"dogs": {}}, "/dogs", "expected a list of at most 3 values, got an object"),
    ({"dogs": [{"name": "Rex", "age": 3}, {"name": "Ben"}]}, "/dogs/1/age", "this field is required"),
    ({"dogs": [{"name": "Rex", "age": 99}]}, "/dogs/0/age", "expected a whole number from 0 to 30"),
    ({"dogs": [{"name": "", "age": 9}]}, "/dogs/0/name", "expected text of 1 to 40 characters"),
    ({"dogs": [7]}, "/dogs/0", "expected an object, got a whole number"),
    ({"ages": {"a.b/c": "x"}}, "/ages", "expected each value to be a whole number, got text"),
    (
        {"a/b~c": 1},
        "/a~1b~0c",
        "unknown field; expected one of: name, sheep, colour, shorn_at, dogs, ages",
    ),
]


@pytest.mark.parametrize(("change", "pointer", "detail"), BODIES)
async def test_invalid_body_returns_422_with_pointer(
    client: Client, change: dict[str, Any], pointer: str, detail: str
) -> None:
    body = {"name": "dolly", "sheep": 3, **change}

    faults = await errors_of(client, "POST", "/flocks", 422, json=body, headers={"Authorization": SHEPHERD})

    assert faults == [{"detail": detail, "pointer": pointer}]


async def test_body_with_several_invalid_fields_returns_422_with_all_of_them(client: Client) -> None:
    body = {"wool": 1, "horns": 2, "sheep": "many", "colour": "blue"}

    faults = await errors_of(client, "POST", "/flocks", 422, json=body, headers={"Authorization": SHEPHERD})

    assert [fault["pointer"] for fault in faults] == ["/wool", "/horns", "/name", "/sheep", "/colour"]


async def test_body_with_many_invalid_fields_returns_422_with_20_errors(client: Client) -> None:
    body = {f"x{number}": 1 for number in range(3000)}

    faults = await errors_of(client, "POST", "/flocks", 422, json=body, headers={"Authorization": SHEPHERD})

    assert len(faults) == 20


@pytest.mark.parametrize("body", ["[]", "5", "null", '"text"'])
async def test_body_of_another_type_returns_422_with_pointer_to_the_whole(client: Client, body: str) -> None:
    headers = {"Authorization": SHEPHERD, "Content-Type": "application/json"}

    faults = await errors_of(client, "POST", "/flocks", 422, data=body, headers=headers)

    assert faults[0]["detail"].startswith("expected an object, got ")
    assert faults[0]["pointer"] == ""


@pytest.mark.parametrize("body", ["", "{", '{"name": 5, garbage', '{"sheep": 3} {}'])
async def test_malformed_json_returns_400(client: Client, body: str) -> None:
    headers = {"Authorization": SHEPHERD, "Content-Type": "application/json"}

    assert (await client.post("/flocks", data=body, headers=headers)).status == 400


async def test_form_with_invalid_fields_returns_400(client: Client) -> None:
    right = await client.post("/whistle", data={"tune": "home", "times": "2", "unknown": "is passed over"})
    faults = await errors_of(client, "POST", "/whistle", 400, data={"times": "many"})

    assert await right.json() == {"tune": "home", "times": 2}
    assert faults == [
        {"detail": "this field is required", "pointer": "/tune"},
        {"detail": "expected a whole number from 1 to 5", "pointer": "/times"},
    ]
