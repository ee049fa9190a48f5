"""Path segments, preconditions and idempotency keys over real HTTP."""

from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from tests.support.example_requests import create_example_requests_app

Client = TestClient[Request, Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run the example service."""
    return await aiohttp_client(create_example_requests_app())


@pytest.mark.parametrize(
    ("segment", "field"),
    [
        ("north", "north"),
        ("a%2Fb", "a/b"),
        ("a%2fb%25", "a/b%"),
        ("%252F", "%2F"),
        ("a+b%20c", "a+b c"),
        ("%C3%A9", "é"),
        ("%F0%9F%90%91" * 10, "\U0001f411" * 10),
        ("%2E%2E", ".."),
        ("sheep", "sheep"),
        ("%7Bfield%7D", "{field}"),
    ],
)
async def test_path_segment_is_decoded(client: Client, segment: str, field: str) -> None:
    async with client.get(URL(f"/fields/{segment}/sheep/x", encoded=True)) as response:
        assert (await response.json())["field"] == field


@pytest.mark.parametrize(
    ("segment", "remedy"),
    [
        ("%", "malformed percent-encoding; write '%' as %25"),
        ("a%2", "malformed percent-encoding; write '%' as %25"),
        ("a%zz", "malformed percent-encoding; write '%' as %25"),
        ("%C3%28", "expected percent-encoded UTF-8"),
        ("%ff", "expected percent-encoded UTF-8"),
        ("%ED%A0%80", "expected percent-encoded UTF-8"),
        ("%C0%AF", "expected percent-encoded UTF-8"),
        ("a%00", "remove the NUL character"),
        ("x" * 11, "expected text of 1 to 10 characters, got 11"),
    ],
)
async def test_invalid_path_segment_returns_400_with_its_name(client: Client, segment: str, remedy: str) -> None:
    async with client.get(URL(f"/fields/{segment}/sheep/x", encoded=True)) as response:
        problem = await response.json(content_type="application/problem+json")

    assert response.status == 400
    assert problem["errors"][0]["parameter"] == "field"
    assert problem["errors"][0]["detail"].startswith(remedy)


@pytest.mark.parametrize("change", [str, str.upper, lambda text: text.replace("-", "%2D")])
async def test_uuid_in_upper_or_lower_case_is_read(client: Client, change: Any) -> None:
    sheep_id = str(uuid4())

    async with client.get(URL(f"/fields/north/sheep/{change(sheep_id)}", encoded=True)) as response:
        assert (await response.json())["sheep_id"] == sheep_id


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("-", ""),
        lambda text: f"%7B{text}%7D",
        lambda text: f"urn:uuid:{text}",
        lambda text: text + "%0A",
        lambda text: text + "%00",
        lambda text: "%" + text,
        lambda text: "%D9%A1" + text[1:],
        lambda text: "x" * 1000,
    ],
)
async def test_uuid_in_another_form_is_none(client: Client, change: Any) -> None:
    async with client.get(URL(f"/fields/north/sheep/{change(str(uuid4()))}", encoded=True)) as response:
        assert (await response.json())["sheep_id"] is None


async def test_if_none_match_with_current_tag_returns_304(client: Client) -> None:
    etag = (await client.get("/flocks/dolly")).headers["ETag"]

    same = await client.get("/flocks/dolly", headers={"If-None-Match": f'"old", W/{etag}'})
    other = await client.get("/flocks/dolly", headers={"If-None-Match": '"old"'})

    assert (same.status, same.headers["ETag"], await same.read()) == (304, etag, b"")
    assert other.status == 200


async def test_second_change_with_the_same_if_match_returns_412(client: Client) -> None:
    headers = {"If-Match": (await client.get("/flocks/dolly")).headers["ETag"]}

    first = await client.patch("/flocks/dolly", headers=headers, json={"sheep": 4})
    second = await client.patch("/flocks/dolly", headers=headers, json={"sheep": 5})

    assert (first.status, second.status) == (200, 412)
    assert (await (await client.get("/flocks/dolly")).json())["sheep"] == 4


async def test_merge_patch_is_applied_and_validated(client: Client) -> None:
    await client.patch("/flocks/dolly", json={"colour": "black", "ages": {"ann": 1, "ben": 2}})

    right = await client.patch("/flocks/dolly", json={"colour": None, "ages": {"ann": None}})
    wrong = await client.patch("/flocks/dolly", json={"sheep": None})

    assert (await right.json())["ages"] == {"ben": 2}
    assert (await right.json())["colour"] == "white"
    assert (await wrong.json())["errors"] == [{"detail": "this field is required", "pointer": "/sheep"}]


@pytest.mark.parametrize(("header", "value"), [("If-Match", "3"), ("If-Match", '"\xff'), ("Idempotency-Key", '"\xff"')])
async def test_malformed_header_returns_400(client: Client, header: str, value: str) -> None:
    headers = {header: value}
    method, path = ("PATCH", "/flocks/dolly") if header == "If-Match" else ("POST", "/counts")

    async with client.request(method, path, headers=headers, json={"sheep": 4}) as response:
        problem = await response.json(content_type="application/problem+json")

    assert response.status == 400
    assert f"Invalid {header}: expected" in problem["detail"]


async def test_idempotency_key_is_the_same_quoted_or_bare(client: Client) -> None:
    quoted = await client.post("/counts", headers={"Idempotency-Key": '"k-1"'}, json={"sheep": 1})
    bare = await client.post("/counts", headers={"Idempotency-Key": "k-1"}, json={"sheep": 1})

    assert (await quoted.json())["key"] == (await bare.json())["key"] == "k-1"
