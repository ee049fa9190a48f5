"""The OpenAPI document of the polls service describes every route, and the service behaves as described."""

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
import requests

from services.polls.routes import ROUTES
from tests.support.fuzz import CASES, IS_LONG, SEED, AnyCase, Prepare, Target, fuzz
from tests.support.stack import LUNCH_OPTIONS, Polls

KNOWN_POLLS: Final = 10
SECURITY: Final = {"follow_poll": {"token", "token_in_url", "ticket"}, "create_ticket": {"token"}}
"""How a token is sent, where it is not sent as everywhere."""
WITHOUT_END: Final = {"follow_poll"}
"""Operations whose responses do not end."""


async def document_of(polls: Polls) -> Any:
    """Return the OpenAPI document, which is public."""
    answer = await polls("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    return answer.json


async def test_document_describes_every_route(polls: Polls) -> None:
    document = await document_of(polls)

    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert documented == {(route.method, route.path) for route in ROUTES}


async def test_every_route_documents_how_a_token_is_sent_and_rejected(polls: Polls) -> None:
    paths = (await document_of(polls))["paths"]

    for path, methods in paths.items():
        is_contract = path.startswith("/x1/")
        for operation in methods.values():
            statuses = operation["responses"].keys()
            assert {next(iter(way)) for way in operation["security"]} == SECURITY.get(
                operation["operationId"], {"token", "token_in_url"}
            )
            assert {"403", "429"} <= statuses
            assert ("401" in statuses) is not is_contract


async def test_contract_documents_neither_401_nor_422_and_any_media_type(polls: Polls) -> None:
    contract = (await document_of(polls))["paths"]["/x1/{endpoint}"]

    assert not {"401", "409", "422"} & {status for operation in contract.values() for status in operation["responses"]}
    assert contract["get"]["security"][0] == {"token_in_url": []}
    assert set(contract["post"]["requestBody"]["content"]) == {"application/json", "*/*"}


async def test_no_description_is_indented_as_code(polls: Polls) -> None:
    """Markdown renders indented text as code."""
    components = (await document_of(polls))["components"]["schemas"].values()

    assert not [each["title"] for each in components if "\n " in each.get("description", "")]


async def test_document_says_for_which_kind_of_link_each_field_is(polls: Polls) -> None:
    fields = (await document_of(polls))["components"]["schemas"]["CreateLink"]["properties"]

    described = {name: field["anyOf"][0]["description"] for name, field in fields.items() if name != "kind"}
    assert {name: text.partition(":")[0] for name, text in described.items()} == {
        "participant": "for a personal link, which needs it",
        "name": "for a personal link",
        "label": "for a shared link",
        "maxParticipants": "for a shared link",
        "maxPerAddress": "for a shared link",
        "expiresAt": "for both kinds",
    }
    assert "leaving it out means 100" in described["maxPerAddress"]


async def test_document_names_limits_of_the_number_of_links(polls: Polls) -> None:
    paths = (await document_of(polls))["paths"]

    one, many = (paths[f"/v1/polls/{{id}}/{name}"]["post"]["responses"]["409"] for name in ("links", "links:batch"))
    assert "at most 100,000 active voting links, and gets at most 200 shared ones within a day" in one["description"]
    assert "at most 100,000 active voting links." in many["description"]


async def test_document_has_pattern_of_idempotency_key(polls: Polls) -> None:
    paths = (await document_of(polls))["paths"]

    for path in ("/v1/polls", "/v1/polls:batch"):
        (key,) = [each for each in paths[path]["post"]["parameters"] if each["name"] == "Idempotency-Key"]
        assert re.fullmatch(key["schema"]["pattern"], key["example"])
        assert not re.fullmatch(key["schema"]["pattern"], "a b")


async def test_value_beyond_documented_limit_returns_422(polls: Polls) -> None:
    fields = (await document_of(polls))["components"]["schemas"]["CreatePoll"]["properties"]
    longest: dict[str, Any] = {
        "title": "😀" * fields["title"]["maxLength"],
        "description": "x" * fields["description"]["maxLength"],
        "options": [{"id": str(number), "title": str(number)} for number in range(fields["options"]["maxItems"])],
    }
    place = {"location": dict(polls.place)}

    made = await polls.v1("POST", "/polls", {**longest, **place})
    refused = [
        await polls.v1(
            "POST",
            "/polls",
            {**longest, **place, name: [*value, LUNCH_OPTIONS[0]] if name == "options" else value + "x"},
        )
        for name, value in longest.items()
    ]

    assert made.status == 201
    assert [(each.status, each.json["errors"][0]["pointer"]) for each in refused] == [
        (422, f"/{name}") for name in longest
    ]


def half(change: Callable[[AnyCase], None]) -> Prepare:
    """Return a function that changes every other valid case."""
    turns = itertools.cycle((True, False))

    def prepare(case: AnyCase) -> None:
        if case.meta and case.meta.generation.mode.is_positive and next(turns):
            change(case)

    return prepare


async def test_stream_begins_as_documented(polls: Polls) -> None:
    operation = (await document_of(polls))["paths"]["/v1/polls/{id}/events"]["get"]
    poll = await polls.create_poll()
    path, headers = f"/v1/polls/{poll['id']}/events", {"Authorization": f"Bearer {polls.token}"}

    async with polls.session.get(polls.base + path, headers=headers) as response:
        first = [await response.content.readline() for _ in range(5)]

    assert response.content_type in operation["responses"][str(response.status)]["content"]
    assert [line.partition(b":")[0].strip() for line in first] == [b"retry", b"", b"id", b"event", b"data"]


class KnownPolls:
    """Existing polls for the fuzz. Cases that delete a poll get a new one, so that the known polls remain."""

    def __init__(self, polls: Polls, ids: list[str]) -> None:
        self._polls = polls
        self._ids = itertools.cycle(ids)

    def at_place(self, case: Any) -> None:
        """Set the place of the polls."""
        case.path_parameters["endpoint"] = self._polls.endpoint
        case.query = {**(case.query or {}), "type": "polls", **self._polls.place, "container": ""}

    def of_poll_at_place(self, case: Any) -> None:
        """Set the place and id of a known poll."""
        self.at_place(case)
        case.query["pollId"] = next(self._ids)
        if isinstance(case.body, dict):
            case.body.pop("id", None)

    def patch(self, case: Any) -> None:
        """Set a patch that is valid for every poll."""
        case.path_parameters["id"] = next(self._ids)
        case.body = {"description": "Where to?", "settings": {"allowComment": True}}

    def new_poll_in_path(self, case: Any) -> None:
        """Set the id of a new poll in the path."""
        case.path_parameters["id"] = self._new()

    def new_poll_in_query(self, case: Any) -> None:
        """Set the place and id of a new poll in the query."""
        self.at_place(case)
        case.query["pollId"] = self._new()

    def with_ballot(self, case: Any) -> None:
        """Set a new poll, and a participant who has voted in it."""
        case.path_parameters = {"id": self._new(), "participant": "ada"}
        self._send("PUT", f"/v1/polls/{case.path_parameters['id']}/votes/ada", {"optionIds": ["y"]})

    def ballot(self, case: Any) -> None:
        """Set a new poll, and a valid ballot for it."""
        case.path_parameters["id"] = self._new()
        case.body = {"optionIds": ["y"], "name": "Ada"}

    def with_link(self, case: Any) -> None:
        """Set a new poll, and a voting link of it."""
        poll_id = self._new()
        link = self._send("POST", f"/v1/polls/{poll_id}/links", {"kind": "shared"}).json()
        case.path_parameters = {"id": poll_id, "link": link["id"]}

    def shared_link(self, case: Any) -> None:
        """Set a valid shared link of a new poll."""
        case.path_parameters["id"] = self._new()
        case.body = {"kind": "shared"}

    def personal_links(self, case: Any) -> None:
        """Set valid personal links of a new poll."""
        case.path_parameters["id"] = self._new()
        case.body = {"participants": [{"participant": "ada"}]}

    def in_batch(self, case: Any) -> None:
        """Set the ids of known polls in the items."""
        for item in case.body["items"]:
            if "id" in item:
                item["id"] = next(self._ids)

    def _new(self) -> str:
        body = {"title": "Lunch?", "options": LUNCH_OPTIONS, "location": dict(self._polls.place)}
        return str(self._send("POST", "/v1/polls", {**body, "settings": {"saveParticipantNames": True}}).json()["id"])

    def _send(self, method: str, path: str, body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._polls.token}"}
        response = requests.request(method, self._polls.base + path, json=body, headers=headers, timeout=15)
        response.raise_for_status()
        return response


@pytest.mark.slow
@pytest.mark.timeout(120 + CASES / 20)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the guard does, in the thread that serves
async def test_fuzzed_requests_get_documented_responses(polls: Polls) -> None:
    made = [
        await polls.create_poll(settings={"saveParticipantNames": True, "allowRevote": True})
        for _ in range(KNOWN_POLLS)
    ]
    ids = [poll["id"] for poll in made]
    known_polls = KnownPolls(polls, ids)
    target = Target(
        base=polls.base,
        document=await document_of(polls),
        credentials={"token": f"Bearer {polls.token}", "token_in_url": polls.token},
        known={"id": ids, "participant": ["ada", "grace"], "endpoint": [polls.endpoint]},
        prepare={
            "change_poll": half(known_polls.patch),
            **dict.fromkeys(("delete_poll", "show_results", "list_ballots"), half(known_polls.new_poll_in_path)),
            "cast_ballot": half(known_polls.ballot),
            **dict.fromkeys(("show_ballot", "withdraw_ballot"), half(known_polls.with_ballot)),
            **dict.fromkeys(("show_link", "revoke_link"), half(known_polls.with_link)),
            "create_link": half(known_polls.shared_link),
            "create_links": half(known_polls.personal_links),
            "change_polls": half(known_polls.in_batch),
            "list_contract_polls": half(known_polls.of_poll_at_place),
            "create_contract_poll": half(known_polls.at_place),
            "replace_contract_poll": half(known_polls.of_poll_at_place),
            "delete_contract_poll": half(known_polls.new_poll_in_query),
        },
        left_out=WITHOUT_END,
        refuses_in_part=("change_polls",),
        makes_secrets=("create_link", "create_links"),
    )

    outcome = await asyncio.to_thread(fuzz, target, cases=CASES, seed=SEED, progress=IS_LONG)

    assert outcome.cases >= CASES
    assert outcome.list_accepted_operations() == {route.endpoint.name for route in ROUTES} - WITHOUT_END
