"""At least one request for every problem type of the polls service, with the response to it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from services.polls.domain.audit import MAX_CHANGES_PER_DAY
from services.polls.operations import links
from services.polls.problems import PROBLEM_TYPES
from services.polls.storage.idempotency import MAX_RESPONSES_PER_TOKEN
from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.polls_storage import add_audit_records, store_responses
from tests.support.postgres import hold_rows
from tests.support.proxy import Proxy, run_proxy
from tests.support.raw_http import send_raw
from tests.support.stack import LUNCH_OPTIONS, Answer, Authority, Polls, run_polls_service
from tests.support.voter import Voter, create_link

UNKNOWN_ID: Final = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
JIRA: Final = {"workspace": "PLAT", "content": "PLAT-1"}
UNKNOWN_TOKENS: Final = 10
LUNCH: Final = {"title": "Lunch?", "options": LUNCH_OPTIONS}
KEY: Final = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
CLOSED: Final = {"endDate": "2026-01-01", "closePollOnEndDate": True}


class Services(NamedTuple):
    """The polls service, with a token that may do everything, and the parts that it depends on."""

    polls: Polls
    authority: Authority
    postgres: Proxy
    database: ClonedDatabase
    redis_url: str

    async def with_token(self, *scopes: str, **fields: Any) -> Polls:
        """Return the caller of the polls service with another token."""
        return self.polls.with_token((await self.authority.issue(*scopes, **fields))["token"])


@pytest.fixture
async def services(database: ClonedDatabase, redis_url: str, authority: Authority) -> AsyncGenerator[Services, None]:
    async with run_proxy(database.admin_url) as postgres:
        proxied_database = database._replace(polls_url=postgres.url(database.polls_url))
        limits = {"body_limit_s": 0.5}
        async with run_polls_service(
            proxied_database,
            redis_url,
            authority.base,
            limits,
            event_streams_per_token=1,
            unknown_tokens_per_minute=UNKNOWN_TOKENS,
        ) as polls:
            polls.endpoint = await authority.get_endpoint()
            polls.token = (await authority.issue())["token"]
            yield Services(polls, authority, postgres, database, redis_url)


async def bad_request(services: Services) -> Answer:
    return await services.polls.v1("GET", "/polls", limit=0)


async def bad_body(services: Services) -> Answer:
    return await services.polls.call("POST", b"{")


async def token_twice(services: Services) -> Answer:
    return await services.polls.v1("GET", "/polls", token=services.polls.token)


async def malformed_request(services: Services) -> Answer:
    return await send_raw(services.polls, b"GET /v1/polls HTTP/1.1\r\nHost : x\r\n\r\n")


async def contract_poll_invalid(services: Services) -> Answer:
    return await services.polls.call("POST", {**LUNCH, "title": ""})


async def contract_votes_would_be_dropped(services: Services) -> Answer:
    poll = await create_voted_poll(services)
    return await services.polls.call("PUT", {**LUNCH, "options": LUNCH_OPTIONS[1:]}, pollId=poll["id"])


async def unauthorized(services: Services) -> Answer:
    return await services.polls("GET", "/v1/polls")


async def unauthorized_by_another_token(services: Services) -> Answer:
    return await services.polls.with_token("x").v1("GET", "/polls")


async def token_missing(services: Services) -> Answer:
    return await services.polls("GET", f"/x1/{services.polls.endpoint}")


async def token_invalid(services: Services) -> Answer:
    return await services.polls.with_token("x").call("GET")


async def query_not_allowed(services: Services) -> Answer:
    return await (await services.with_token(allow_query=False)).call("GET")


async def address_not_allowed(services: Services) -> Answer:
    return await (await services.with_token(allowed_ips=["203.0.113.7"])).v1("GET", "/polls")


async def insufficient_scope(services: Services) -> Answer:
    return await (await services.with_token("polls:read:PLAT")).v1("POST", "/polls", {**LUNCH, "location": JIRA})


async def insufficient_scope_of_the_contract(services: Services) -> Answer:
    return await (await services.with_token("polls:read:PLAT")).call("POST", LUNCH)


async def insecure_sign_in(services: Services) -> Answer:
    url = "http://polls.example.com"
    async with run_polls_service(
        services.database, services.redis_url, services.authority.base, resource_url=url
    ) as elsewhere:
        return await elsewhere("GET", "/manage/sign-in")


async def forged_form(services: Services) -> Answer:
    return await services.polls("POST", "/manage/sign-in", headers={"Origin": "https://elsewhere.example"})


async def not_found(services: Services) -> Answer:
    return await services.polls.v1("GET", "/poll")


async def unknown_poll(services: Services) -> Answer:
    return await services.polls.v1("GET", f"/polls/{UNKNOWN_ID}")


async def unknown_poll_of_the_contract(services: Services) -> Answer:
    return await services.polls.call("GET", pollId=UNKNOWN_ID)


async def unknown_poll_out_of_reach(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await (await services.with_token("polls:*:OTHER")).v1("GET", f"/polls/{poll['id']}")


async def unknown_ballot(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await services.polls.v1("GET", f"/polls/{poll['id']}/votes/ada")


async def unknown_endpoint(services: Services) -> Answer:
    services.polls.endpoint = "A" * 27
    return await services.polls.call("GET")


async def method_not_allowed(services: Services) -> Answer:
    return await services.polls.v1("PUT", "/polls")


async def request_timeout(services: Services) -> Answer:
    authorization = f"Authorization: Bearer {services.polls.token}"
    head = f"POST /v1/polls HTTP/1.1\r\nHost: x\r\n{authorization}\r\nContent-Length: 9\r\n\r\n"
    return await send_raw(services.polls, head.encode() + b"{")


async def poll_closed(services: Services) -> Answer:
    poll = await services.polls.create_poll(settings=CLOSED)
    return await services.polls.vote(poll["id"], "ada", "y")


async def already_voted(services: Services) -> Answer:
    poll = await create_voted_poll(services)
    return await services.polls.vote(poll["id"], "ada", "n")


async def names_not_kept(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await services.polls.v1("GET", f"/polls/{poll['id']}/votes")


async def promises_would_be_broken(services: Services) -> Answer:
    poll = await create_voted_poll(services)
    return await services.polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})


async def contract_promises_would_be_broken(services: Services) -> Answer:
    poll = await create_voted_poll(services)
    return await services.polls.call("PUT", {**LUNCH, "title": "Dinner?"}, pollId=poll["id"])


async def too_many_stored_responses(services: Services) -> Answer:
    issued = await services.authority.issue()
    await store_responses(services.database, issued["id"], MAX_RESPONSES_PER_TOKEN)
    holder = services.polls.with_token(issued["token"])
    return await holder.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)


async def too_many_edits(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    await add_audit_records(services.database, MAX_CHANGES_PER_DAY - 1)
    return await services.polls.v1("PATCH", f"/polls/{poll['id']}", {"title": "Dinner?"})


async def votes_would_be_dropped(services: Services) -> Answer:
    poll = await create_voted_poll(services)
    return await services.polls.v1("PATCH", f"/polls/{poll['id']}", {"options": LUNCH_OPTIONS[1:]})


async def poll_changed(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await services.polls.v1("DELETE", f"/polls/{poll['id']}", headers={"If-Match": '"2"'})


async def request_entity_too_large(services: Services) -> Answer:
    return await services.polls.v1("POST", "/polls", {**LUNCH, "title": "x" * 70_000})


async def unsupported_media_type(services: Services) -> Answer:
    return await services.polls.v1("POST", "/polls", b"title=x", {"Content-Type": "text/plain"})


async def unsupported_encoding(services: Services) -> Answer:
    path = f"/x1/{services.polls.endpoint}?token={services.polls.token}"
    return await services.polls("POST", path, data=b"x", headers={"Content-Encoding": "br"})


async def expectation_failed(services: Services) -> Answer:
    return await services.polls.v1("GET", "/polls", headers={"Expect": "rain"})


async def invalid_body(services: Services) -> Answer:
    return await services.polls.v1("POST", "/polls", {"location": JIRA, "titel": "x"})


async def invalid_poll(services: Services) -> Answer:
    return await services.polls.v1("POST", "/polls", {**LUNCH, "location": JIRA, "title": ""})


async def invalid_poll_of_an_unknown_template(services: Services) -> Answer:
    return await services.polls.v1("POST", "/polls", {"template": "moons", "location": JIRA})


async def invalid_ballot(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await services.polls.vote(poll["id"], "ada", "z")


async def idempotency_key_reused(services: Services) -> Answer:
    await services.polls.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)
    return await services.polls.v1("POST", "/polls", {"template": "hearts", "location": JIRA}, KEY)


async def idempotency_key_in_use(services: Services) -> Answer:
    await services.polls.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)
    async with hold_rows(services.database, "polls.answer", waiting=0):
        return await services.polls.v1("POST", "/polls", {"template": "stars", "location": JIRA}, KEY)


async def rolled_back_with_batch(services: Services) -> Answer:
    good = {"op": "create", "poll": {"template": "stars", "location": JIRA}}
    items = [good, {"op": "delete", "id": UNKNOWN_ID}]
    outcomes = await services.polls.v1("POST", "/polls:batch", {"atomic": True, "items": items})
    return response_of_first_item(outcomes)


async def rate_limited(services: Services) -> Answer:
    holder = await services.with_token(rate_limit=1)
    await holder.v1("GET", "/polls")
    return await holder.v1("GET", "/polls")


async def rate_limited_under_the_contract(services: Services) -> Answer:
    holder = await services.with_token(rate_limit=1)
    await holder.call("GET")
    return await holder.call("GET")


async def batch_over_rate_limit(services: Services) -> Answer:
    holder = await services.with_token(rate_limit=1)
    items = [{"op": "delete", "id": UNKNOWN_ID}] * 2
    return await holder.v1("POST", "/polls:batch", {"items": items})


async def too_many_attempts(services: Services) -> Answer:
    answers = [await services.polls.with_token(mint("pgt")).v1("GET", "/polls") for _ in range(UNKNOWN_TOKENS + 1)]
    return answers[-1]


async def too_many_attempts_under_the_contract(services: Services) -> Answer:
    answers = [await services.polls.with_token(mint("pgt")).call("GET") for _ in range(UNKNOWN_TOKENS + 1)]
    return answers[-1]


async def invalid_link(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await services.polls.v1("POST", f"/polls/{poll['id']}/links", {"kind": "personal"})


async def unknown_link(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    return await services.polls.v1("GET", f"/polls/{poll['id']}/links/{UNKNOWN_ID}")


async def link_ended(services: Services) -> Answer:
    return await services.polls("GET", f"/p/{mint('pgl')}")


async def link_full(services: Services) -> Answer:
    return await vote_twice(services, maxParticipants=1)


async def address_limit_reached(services: Services) -> Answer:
    return await vote_twice(services, maxPerAddress=1)


async def too_many_links(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "MAX_LINKS_PER_POLL", 0)
        return await services.polls.v1("POST", f"/polls/{poll['id']}/links", {"kind": "shared"})


async def vote_twice(services: Services, **limits: Any) -> Answer:
    """Vote by a shared link in two browsers, and return the second response as a program gets it."""
    poll = await services.polls.create_poll()
    link = await create_link(services.polls, poll["id"], **limits)
    first, second = Voter(services.polls), Voter(services.polls)
    pages = [await first.open(link), await second.open(link)]
    assert (await first.vote(pages[0], "Yes")).status == 303
    second.accept_json()
    refused = await second.vote(pages[1], "Yes")
    return Answer(refused.status, refused.headers, refused.html.encode())


async def too_many_streams(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    path, headers = f"/v1/polls/{poll['id']}/events", {"Authorization": f"Bearer {services.polls.token}"}
    async with services.polls.session.get(services.polls.base + path, headers=headers):
        return await services.polls("GET", path, headers=headers)


async def unavailable(services: Services) -> Answer:
    poll = await services.polls.create_poll()
    services.postgres.set_mode("refuse")
    return await services.polls.v1("GET", f"/polls/{poll['id']}")


async def unavailable_under_the_contract(services: Services) -> Answer:
    await services.polls.call("GET")
    services.postgres.set_mode("refuse")
    return await services.polls.call("POST", LUNCH)


async def create_voted_poll(services: Services) -> Any:
    """Create a poll with a vote for its first option, and return it."""
    poll = await services.polls.create_poll()
    assert (await services.polls.vote(poll["id"], "ada", "y")).status == 201
    return poll


def response_of_first_item(outcomes: Answer) -> Answer:
    """Return the problem of the first item of a batch as if it was the response to a request of its own."""
    assert outcomes.status == 200, outcomes.body
    outcome = outcomes.json["items"][0]
    document = {**outcome["problem"], "request_id": outcomes.headers["X-Request-ID"]}
    headers = {"Content-Type": "application/problem+json", "X-Request-ID": outcomes.headers["X-Request-ID"]}
    return Answer(outcome["status"], headers, msgspec.json.encode(document))


REQUESTS: Final[list[tuple[int, str, Callable[[Services], Awaitable[Answer]]]]] = [
    (400, "bad-request", bad_request),
    (400, "bad-request", bad_body),
    (400, "token-twice", token_twice),
    (400, "malformed-request", malformed_request),
    (400, "invalid-poll", contract_poll_invalid),
    (400, "votes-would-be-dropped", contract_votes_would_be_dropped),
    (400, "promises-would-be-broken", contract_promises_would_be_broken),
    (401, "unauthorized", unauthorized),
    (401, "unauthorized", unauthorized_by_another_token),
    (403, "token-missing", token_missing),
    (403, "token-invalid", token_invalid),
    (403, "query-not-allowed", query_not_allowed),
    (403, "address-not-allowed", address_not_allowed),
    (403, "insufficient-scope", insufficient_scope),
    (403, "insufficient-scope", insufficient_scope_of_the_contract),
    (403, "insecure-sign-in", insecure_sign_in),
    (403, "forged-form", forged_form),
    (404, "not-found", not_found),
    (404, "unknown-poll", unknown_poll),
    (404, "unknown-poll", unknown_poll_of_the_contract),
    (404, "unknown-poll", unknown_poll_out_of_reach),
    (404, "unknown-ballot", unknown_ballot),
    (404, "unknown-endpoint", unknown_endpoint),
    (404, "unknown-link", unknown_link),
    (404, "link-ended", link_ended),
    (405, "method-not-allowed", method_not_allowed),
    (408, "request-timeout", request_timeout),
    (409, "poll-closed", poll_closed),
    (409, "already-voted", already_voted),
    (409, "names-not-kept", names_not_kept),
    (409, "link-full", link_full),
    (409, "too-many-links", too_many_links),
    (409, "votes-would-be-dropped", votes_would_be_dropped),
    (409, "promises-would-be-broken", promises_would_be_broken),
    (409, "idempotency-key-in-use", idempotency_key_in_use),
    (412, "poll-changed", poll_changed),
    (413, "request-entity-too-large", request_entity_too_large),
    (415, "unsupported-media-type", unsupported_media_type),
    (415, "unsupported-media-type", unsupported_encoding),
    (417, "expectation-failed", expectation_failed),
    (422, "batch-over-rate-limit", batch_over_rate_limit),
    (422, "invalid-body", invalid_body),
    (422, "invalid-poll", invalid_poll),
    (422, "invalid-poll", invalid_poll_of_an_unknown_template),
    (422, "invalid-ballot", invalid_ballot),
    (422, "invalid-link", invalid_link),
    (422, "idempotency-key-reused", idempotency_key_reused),
    (424, "undone-with-others", rolled_back_with_batch),
    (429, "rate-limited", rate_limited),
    (429, "rate-limited", rate_limited_under_the_contract),
    (429, "too-many-attempts", too_many_attempts),
    (429, "too-many-attempts", too_many_attempts_under_the_contract),
    (429, "too-many-streams", too_many_streams),
    (429, "address-limit-reached", address_limit_reached),
    (429, "too-many-stored-responses", too_many_stored_responses),
    (429, "too-many-edits", too_many_edits),
    (503, "unavailable", unavailable),
    (503, "unavailable", unavailable_under_the_contract),
]
LIMIT_OF_OPEN_ROUTES: Final = "too-many-requests"
"""Only the token authority limits requests without a credential: at polls, an office that votes is one address."""
WITH_CHALLENGE: Final = {
    "unauthorized",
    "token-missing",
    "token-invalid",
    "token-twice",
    "query-not-allowed",
    "address-not-allowed",
    "insufficient-scope",
}
WITH_RETRY_AFTER: Final = {
    "idempotency-key-in-use",
    "rate-limited",
    "too-many-attempts",
    "too-many-streams",
    "too-many-stored-responses",
    "too-many-edits",
    "unavailable",
}


@pytest.mark.parametrize(("status", "slug", "send"), REQUESTS, ids=[send.__name__ for _, _, send in REQUESTS])
async def test_request_returns_documented_problem(
    services: Services, status: int, slug: str, send: Callable[[Services], Awaitable[Answer]]
) -> None:
    answer = await send(services)

    document = answer.json
    assert (answer.status, document["type"]) == (status, f"/docs/problems/{slug}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert document["status"] == status
    assert document["detail"]
    assert document["request_id"] == answer.headers["X-Request-ID"]
    assert services.polls.token not in str((answer.headers, answer.body))
    assert ("WWW-Authenticate" in answer.headers) is (slug in WITH_CHALLENGE)
    assert ("Retry-After" in answer.headers) is (slug in WITH_RETRY_AFTER)


def test_overview_has_every_problem_type_that_polls_reports_except_internal() -> None:
    requested = {slug for _, slug, _ in REQUESTS}

    assert requested == {kind.slug for kind in PROBLEM_TYPES} - {"internal", LIMIT_OF_OPEN_ROUTES}


def test_only_contract_problems_have_another_status_than_their_type() -> None:
    usual = {kind.slug: kind.status for kind in PROBLEM_TYPES}

    assert {slug for status, slug, _ in REQUESTS if usual[slug] != status} == {
        "invalid-poll",
        "votes-would-be-dropped",
        "promises-would-be-broken",
    }
