"""One request for every kind of problem that polls can tell, and what it is told as."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from services.polls.problems import PROBLEM_TYPES
from tests.support.databases import ClonedDatabase
from tests.support.postgres import rows_held
from tests.support.proxy import Proxy, proxied
from tests.support.raw_http import send_raw
from tests.support.stack import LUNCH_OPTIONS, Answer, Authority, Polls, polls_service

NOBODYS_ID: Final = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
JIRA: Final = {"workspace": "PLAT", "content": "PLAT-1"}
LUNCH: Final = {"title": "Lunch?", "options": LUNCH_OPTIONS}
KEY: Final = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
CLOSED: Final = {"endDate": "2026-01-01", "closePollOnEndDate": True}


class Scene(NamedTuple):
    """Polls, with a token that may do everything, and what can be taken away from it."""

    polls: Polls
    authority: Authority
    postgres: Proxy
    database: ClonedDatabase

    async def holding(self, *scopes: str, **fields: Any) -> Polls:
        """The same with another token."""
        return self.polls.holding((await self.authority.issue(*scopes, **fields))["token"])


@pytest.fixture
async def scene(database: ClonedDatabase, redis_url: str, authority: Authority) -> AsyncGenerator[Scene, None]:
    async with proxied(database.admin_url) as postgres:
        behind = database._replace(polls_url=postgres.url(database.polls_url))
        limits = {"body_limit_s": 0.5}
        async with polls_service(behind, redis_url, authority.base, limits, event_streams_per_token=1) as polls:
            polls.endpoint = await authority.endpoint()
            polls.token = (await authority.issue())["token"]
            yield Scene(polls, authority, postgres, database)


async def bad_request(scene: Scene) -> Answer:
    return await scene.polls.v1("GET", "/polls", limit=0)


async def bad_body(scene: Scene) -> Answer:
    return await scene.polls.call("POST", b"{")


async def token_twice(scene: Scene) -> Answer:
    return await scene.polls.v1("GET", "/polls", token=scene.polls.token)


async def malformed_request(scene: Scene) -> Answer:
    return await send_raw(scene.polls, b"GET /v1/polls HTTP/1.1\r\nHost : x\r\n\r\n")


async def contract_poll_invalid(scene: Scene) -> Answer:
    return await scene.polls.call("POST", {**LUNCH, "title": ""})


async def contract_votes_would_be_dropped(scene: Scene) -> Answer:
    poll = await voted_in(scene)
    return await scene.polls.call("PUT", {**LUNCH, "options": LUNCH_OPTIONS[1:]}, pollId=poll["id"])


async def unauthorized(scene: Scene) -> Answer:
    return await scene.polls("GET", "/v1/polls")


async def unauthorized_by_another_token(scene: Scene) -> Answer:
    return await scene.polls.holding("x").v1("GET", "/polls")


async def token_missing(scene: Scene) -> Answer:
    return await scene.polls("GET", f"/x1/{scene.polls.endpoint}")


async def token_invalid(scene: Scene) -> Answer:
    return await scene.polls.holding("x").call("GET")


async def query_not_allowed(scene: Scene) -> Answer:
    return await (await scene.holding(allow_query=False)).call("GET")


async def address_not_allowed(scene: Scene) -> Answer:
    return await (await scene.holding(allowed_ips=["203.0.113.7"])).v1("GET", "/polls")


async def insufficient_scope(scene: Scene) -> Answer:
    return await (await scene.holding("polls:read:PLAT")).v1("POST", "/polls", {**LUNCH, "location": JIRA})


async def insufficient_scope_of_the_contract(scene: Scene) -> Answer:
    return await (await scene.holding("polls:read:PLAT")).call("POST", LUNCH)


async def not_found(scene: Scene) -> Answer:
    return await scene.polls.v1("GET", "/poll")


async def unknown_poll(scene: Scene) -> Answer:
    return await scene.polls.v1("GET", f"/polls/{NOBODYS_ID}")


async def unknown_poll_of_the_contract(scene: Scene) -> Answer:
    return await scene.polls.call("GET", pollId=NOBODYS_ID)


async def unknown_poll_out_of_reach(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    return await (await scene.holding("polls:*:OTHER")).v1("GET", f"/polls/{poll['id']}")


async def unknown_ballot(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    return await scene.polls.v1("GET", f"/polls/{poll['id']}/votes/ada")


async def unknown_endpoint(scene: Scene) -> Answer:
    scene.polls.endpoint = "A" * 27
    return await scene.polls.call("GET")


async def method_not_allowed(scene: Scene) -> Answer:
    return await scene.polls.v1("PUT", "/polls")


async def request_timeout(scene: Scene) -> Answer:
    head = (
        f"POST /v1/polls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {scene.polls.token}\r\nContent-Length: 9\r\n\r\n"
    )
    return await send_raw(scene.polls, head.encode() + b"{")


async def poll_closed(scene: Scene) -> Answer:
    poll = await scene.polls.make(settings=CLOSED)
    return await scene.polls.vote(poll["id"], "ada", "y")


async def already_voted(scene: Scene) -> Answer:
    poll = await voted_in(scene)
    return await scene.polls.vote(poll["id"], "ada", "n")


async def names_not_kept(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    return await scene.polls.v1("GET", f"/polls/{poll['id']}/votes")


async def votes_would_be_dropped(scene: Scene) -> Answer:
    poll = await voted_in(scene)
    return await scene.polls.v1("PATCH", f"/polls/{poll['id']}", {"options": LUNCH_OPTIONS[1:]})


async def poll_changed(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    return await scene.polls.v1("DELETE", f"/polls/{poll['id']}", headers={"If-Match": '"2"'})


async def request_entity_too_large(scene: Scene) -> Answer:
    return await scene.polls.v1("POST", "/polls", {**LUNCH, "title": "x" * 70_000})


async def unsupported_media_type(scene: Scene) -> Answer:
    return await scene.polls.v1("POST", "/polls", b"title=x", {"Content-Type": "text/plain"})


async def unsupported_encoding(scene: Scene) -> Answer:
    path = f"/x1/{scene.polls.endpoint}?token={scene.polls.token}"
    return await scene.polls("POST", path, data=b"x", headers={"Content-Encoding": "br"})


async def expectation_failed(scene: Scene) -> Answer:
    return await scene.polls.v1("GET", "/polls", headers={"Expect": "rain"})


async def invalid_body(scene: Scene) -> Answer:
    return await scene.polls.v1("POST", "/polls", {"location": JIRA, "titel": "x"})


async def invalid_poll(scene: Scene) -> Answer:
    return await scene.polls.v1("POST", "/polls", {**LUNCH, "location": JIRA, "title": ""})


async def invalid_poll_of_an_unknown_template(scene: Scene) -> Answer:
    return await scene.polls.v1("POST", "/polls", {"template": "moons", "location": JIRA})


async def invalid_ballot(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    return await scene.polls.vote(poll["id"], "ada", "z")


async def idempotency_key_reused(scene: Scene) -> Answer:
    await scene.polls.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)
    return await scene.polls.v1("POST", "/polls", {"template": "hearts", "location": JIRA}, KEY)


async def idempotency_key_in_use(scene: Scene) -> Answer:
    await scene.polls.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)
    async with rows_held(scene.database, "polls.answer", waiting=0):
        return await scene.polls.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)


async def undone_with_others(scene: Scene) -> Answer:
    good = {"op": "create", "poll": {"template": "stars", "location": JIRA}}
    items = [good, {"op": "delete", "id": NOBODYS_ID}]
    outcomes = await scene.polls.v1("POST", "/polls:batch", {"atomic": True, "items": items})
    return of_first_item(outcomes)


async def rate_limited(scene: Scene) -> Answer:
    holder = await scene.holding(rate_limit=1)
    await holder.v1("GET", "/polls")
    return await holder.v1("GET", "/polls")


async def rate_limited_under_the_contract(scene: Scene) -> Answer:
    holder = await scene.holding(rate_limit=1)
    await holder.call("GET")
    return await holder.call("GET")


async def too_many_streams(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    path, headers = f"/v1/polls/{poll['id']}/events", {"Authorization": f"Bearer {scene.polls.token}"}
    async with scene.polls.session.get(scene.polls.base + path, headers=headers):
        return await scene.polls("GET", path, headers=headers)


async def unavailable(scene: Scene) -> Answer:
    poll = await scene.polls.make()
    scene.postgres.become("refuse")
    return await scene.polls.v1("GET", f"/polls/{poll['id']}")


async def unavailable_under_the_contract(scene: Scene) -> Answer:
    await scene.polls.call("GET")
    scene.postgres.become("refuse")
    return await scene.polls.call("POST", LUNCH)


async def voted_in(scene: Scene) -> Any:
    """A poll with a vote for its first option."""
    poll = await scene.polls.make()
    assert (await scene.polls.vote(poll["id"], "ada", "y")).status == 201
    return poll


def of_first_item(outcomes: Answer) -> Answer:
    """What a batch tells of its first item, as if it had been a request."""
    assert outcomes.status == 200, outcomes.body
    outcome = outcomes.json["items"][0]
    document = {**outcome["problem"], "request_id": outcomes.headers["X-Request-ID"]}
    headers = {"Content-Type": "application/problem+json", "X-Request-ID": outcomes.headers["X-Request-ID"]}
    return Answer(outcome["status"], headers, msgspec.json.encode(document))


OVERVIEW: Final[list[tuple[int, str, Callable[[Scene], Awaitable[Answer]]]]] = [
    (400, "bad-request", bad_request),
    (400, "bad-request", bad_body),
    (400, "token-twice", token_twice),
    (400, "malformed-request", malformed_request),
    (400, "invalid-poll", contract_poll_invalid),
    (400, "votes-would-be-dropped", contract_votes_would_be_dropped),
    (401, "unauthorized", unauthorized),
    (401, "unauthorized", unauthorized_by_another_token),
    (403, "token-missing", token_missing),
    (403, "token-invalid", token_invalid),
    (403, "query-not-allowed", query_not_allowed),
    (403, "address-not-allowed", address_not_allowed),
    (403, "insufficient-scope", insufficient_scope),
    (403, "insufficient-scope", insufficient_scope_of_the_contract),
    (404, "not-found", not_found),
    (404, "unknown-poll", unknown_poll),
    (404, "unknown-poll", unknown_poll_of_the_contract),
    (404, "unknown-poll", unknown_poll_out_of_reach),
    (404, "unknown-ballot", unknown_ballot),
    (404, "unknown-endpoint", unknown_endpoint),
    (405, "method-not-allowed", method_not_allowed),
    (408, "request-timeout", request_timeout),
    (409, "poll-closed", poll_closed),
    (409, "already-voted", already_voted),
    (409, "names-not-kept", names_not_kept),
    (409, "votes-would-be-dropped", votes_would_be_dropped),
    (409, "idempotency-key-in-use", idempotency_key_in_use),
    (412, "poll-changed", poll_changed),
    (413, "request-entity-too-large", request_entity_too_large),
    (415, "unsupported-media-type", unsupported_media_type),
    (415, "unsupported-media-type", unsupported_encoding),
    (417, "expectation-failed", expectation_failed),
    (422, "invalid-body", invalid_body),
    (422, "invalid-poll", invalid_poll),
    (422, "invalid-poll", invalid_poll_of_an_unknown_template),
    (422, "invalid-ballot", invalid_ballot),
    (422, "idempotency-key-reused", idempotency_key_reused),
    (424, "undone-with-others", undone_with_others),
    (429, "rate-limited", rate_limited),
    (429, "rate-limited", rate_limited_under_the_contract),
    (429, "too-many-streams", too_many_streams),
    (503, "unavailable", unavailable),
    (503, "unavailable", unavailable_under_the_contract),
]
CHALLENGED: Final = {"unauthorized", "insufficient-scope"}
TRIED_AGAIN: Final = {"idempotency-key-in-use", "rate-limited", "too-many-streams", "unavailable"}


@pytest.mark.parametrize(("status", "slug", "ask"), OVERVIEW, ids=[ask.__name__ for _, _, ask in OVERVIEW])
async def test_a_problem_is_told(
    scene: Scene, status: int, slug: str, ask: Callable[[Scene], Awaitable[Answer]]
) -> None:
    answer = await ask(scene)

    document = answer.json
    assert (answer.status, document["type"]) == (status, f"/docs/problems/{slug}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert document["status"] == status
    assert document["detail"]
    assert document["request_id"] == answer.headers["X-Request-ID"]
    assert scene.polls.token not in str((answer.headers, answer.body))
    assert ("WWW-Authenticate" in answer.headers) is (slug in CHALLENGED)
    assert ("Retry-After" in answer.headers) is (slug in TRIED_AGAIN)


def test_every_kind_that_a_request_can_provoke_is_provoked() -> None:
    provoked = {slug for _, slug, _ in OVERVIEW}

    assert provoked == {kind.slug for kind in PROBLEM_TYPES} - {"internal"}


def test_only_under_the_contract_a_kind_has_another_status() -> None:
    usual = {kind.slug: kind.status for kind in PROBLEM_TYPES}

    assert {slug for status, slug, _ in OVERVIEW if usual[slug] != status} == {"invalid-poll", "votes-would-be-dropped"}
