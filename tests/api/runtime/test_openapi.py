"""A service's OpenAPI document is valid and matches its types and its behaviour."""

import asyncio
import copy
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient

from tests.support.example_service import SHEEP_ROUTES, SHEPHERD, build_example_document, create_example_app
from tests.support.fuzz import SEED, Target, fuzz

Client = TestClient[Request, Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Run the example service."""
    return await aiohttp_client(create_example_app())


@pytest.fixture
async def document(client: Client) -> Any:
    """Return the OpenAPI document of the service, requested without a credential."""
    async with client.get("/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        return await response.json()


def target(client: Client, document: Any, **care: Any) -> Target:
    known = {"name": ["dolly"]}
    return Target(str(client.make_url("")).rstrip("/"), document, {"shepherd": SHEPHERD}, known, **care)


def test_parameters_come_from_structs() -> None:
    parameters = {one["name"]: one for one in build_example_document()["paths"]["/flocks"]["get"]["parameters"]}

    assert parameters["limit"] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "maximum number of flocks",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
    }
    assert parameters["shorn_before"]["schema"] == {"type": "string", "format": "date-time"}
    assert parameters["colour"]["explode"] is True


def test_path_parameter_is_described_by_its_struct() -> None:
    (name,) = build_example_document()["paths"]["/flocks/{name}"]["get"]["parameters"]

    assert (name["in"], name["required"], name["description"]) == ("path", True, "the flock's name")
    assert name["schema"] == {"type": "string", "examples": ["dolly"]}
    assert name["example"] == "dolly"


def test_header_parameter_has_its_wire_name() -> None:
    (header,) = build_example_document()["paths"]["/flocks"]["post"]["parameters"]

    assert (header["name"], header["in"], header["required"]) == ("Flock-Key", "header", False)


def test_structs_are_shared_components() -> None:
    document = build_example_document()

    named = {"ChangeFlock", "Dog", "ErrorDetail", "Flock", "Flocks", "ProblemDocument", "Whistle"}
    assert document["components"]["schemas"].keys() == named
    content = document["paths"]["/whistle"]["post"]["requestBody"]["content"]
    assert content == {"application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Whistle"}}}


def test_every_operation_lists_its_problems() -> None:
    paths = build_example_document()["paths"]

    assert set(paths["/flocks"]["get"]["responses"]) == {"200", "400", "503", "default"}
    assert set(paths["/flocks/{name}"]["delete"]["responses"]) == {"204", "400", "401", "404", "503", "default"}
    assert {"401", "408", "413", "415", "422"} <= set(paths["/flocks"]["post"]["responses"])


def test_response_has_its_example_and_alternative_media_types() -> None:
    content = build_example_document()["paths"]["/flocks"]["get"]["responses"]["200"]["content"]

    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Flocks"}
    assert content["application/json"]["example"] == {"items": [{"name": "dolly", "sheep": 3}]}
    assert content["text/csv"] == {"schema": {"type": "string"}, "example": "name,sheep\r\ndolly,3\r\n"}


def test_body_with_several_media_types_lists_each() -> None:
    body = build_example_document()["paths"]["/flocks/{name}"]["patch"]["requestBody"]

    content = {"schema": {"$ref": "#/components/schemas/ChangeFlock"}, "example": {"sheep": 4}}
    assert body == {
        "required": True,
        "content": {"application/merge-patch+json": content, "application/json": content},
    }


@pytest.mark.slow
async def test_service_conforms_to_its_document(client: Client, document: Any) -> None:
    outcome = await asyncio.to_thread(fuzz, target(client, document), cases=600, seed=SEED)

    assert outcome.cases >= 600
    assert outcome.list_accepted_operations() == {route.endpoint.name for route in SHEEP_ROUTES}


@pytest.mark.slow
async def test_fuzz_sends_no_excluded_operation(client: Client, document: Any) -> None:
    careful = target(client, document, left_out={"dissolve_flock"})

    outcome = await asyncio.to_thread(fuzz, careful, cases=100, seed=SEED)

    assert "dissolve_flock" not in outcome.statuses


def _status(document: Any) -> None:
    responses = document["paths"]["/whistle"]["post"]["responses"]
    responses["202"] = responses.pop("200")


def _answer(document: Any) -> None:
    document["components"]["schemas"]["Flock"]["properties"]["sheep"] = {"type": "string"}


def _rule(document: Any) -> None:
    document["paths"]["/flocks"]["get"]["parameters"][0]["schema"]["maximum"] = 50


def _access(document: Any) -> None:
    document["paths"]["/flocks"]["get"]["security"] = [{"shepherd": []}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("falsify", "message"),
    [
        (_status, "Undocumented status code"),
        (_answer, "Response violates schema"),
        (_rule, "Invalid data should"),
        (_access, "200 without a credential"),
    ],
)
async def test_fuzz_detects_a_wrong_document(client: Client, document: Any, falsify: Any, message: str) -> None:
    wrong = copy.deepcopy(document)
    falsify(wrong)

    with pytest.raises(AssertionError, match=message):
        await asyncio.to_thread(fuzz, target(client, wrong), cases=200, seed=SEED)
