"""Pages of listed origins may call both services from a browser."""

from typing import Any

import pytest

from tests.support.stack import Authority, Caller, Polls

PAGE = "https://polls.example.com"
LISTED = {"Origin": PAGE}
OTHER = {"Origin": "https://other.example.com"}


@pytest.fixture
def polls_settings() -> dict[str, Any]:
    """Return a list of origins."""
    return {"cors_origins": f"{PAGE}, http://127.0.0.1:3000"}


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    """Return a list of origins."""
    return {"cors_origins": PAGE}


async def require_preflight(caller: Caller, path: str, method: str) -> None:
    """Assert that a preflight request allows the method and all headers."""
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,if-match"}
    answer = await caller("OPTIONS", path, headers={**LISTED, **asked})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert method in answer.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = set(answer.headers["Access-Control-Allow-Headers"].lower().split(", "))
    assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match"} <= allowed
    assert {"last-event-id", "cache-control"} <= allowed
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = await caller("OPTIONS", path, headers={**OTHER, **asked})
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert refused.headers["Vary"] == "Origin"


async def test_preflight_of_a_listed_origin_returns_204_that_allows_it(authority: Authority, polls: Polls) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        await require_preflight(polls, "/v1/polls/123e4567-e89b-42d3-a456-426614174000", method)
    await require_preflight(polls, "/v1/polls/123e4567-e89b-42d3-a456-426614174000/events", "GET")
    await require_preflight(authority, "/v1/tokens", "POST")


async def test_responses_to_a_listed_origin_can_be_read_by_the_page(polls: Polls, subtests: pytest.Subtests) -> None:
    poll_id = (await polls.create_poll())["id"]
    bearer = {"Authorization": f"Bearer {polls.token}"}
    cases = {
        200: (f"/v1/polls/{poll_id}", bearer),
        401: (f"/v1/polls/{poll_id}", {}),
        400: ("/v1/polls?limit=x", bearer),
        404: ("/v1/sheep", {}),
    }

    for status, (path, headers) in cases.items():
        with subtests.test(status=status):
            answer = await polls("GET", path, headers={**headers, **LISTED})
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Origin" in answer.headers["Vary"].split(", ")
            exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
            assert {"ETag", "Location", "RateLimit", "Retry-After", "WWW-Authenticate", "X-Request-ID"} <= set(exposed)


async def test_responses_to_other_origins_are_not_readable_and_vary(polls: Polls) -> None:
    for headers in (OTHER, {"Origin": "null"}, {}):
        answer = await polls("GET", "/v1/templates", headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"].split(", ")


async def test_results_vary_by_accept_and_origin(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]

    answer = await polls.v1("GET", f"/polls/{poll_id}/results", headers=LISTED)

    assert answer.headers["Vary"] == "Accept, Origin"


async def test_token_in_the_url_from_a_listed_origin_returns_403_that_names_the_header(polls: Polls) -> None:
    contract = f"/x1/{polls.endpoint}?type=polls&workspace=PLAT&content=PLAT-1&token={polls.token}"

    for path in (f"/v1/templates?token={polls.token}", contract):
        refused = await polls("GET", path, headers=LISTED)
        assert (refused.status, refused.json["type"]) == (403, "/docs/problems/query-not-allowed")
        assert "Authorization: Bearer" in refused.json["detail"]
        assert refused.headers["Access-Control-Allow-Origin"] == PAGE
        assert (await polls("GET", path)).status == 200


async def test_event_source_of_a_listed_origin_follows_a_poll_by_a_ticket(polls: Polls) -> None:
    poll_id = (await polls.create_poll())["id"]
    ticket = (await polls.v1("POST", f"/polls/{poll_id}/events/tickets", headers=LISTED)).json["ticket"]

    url = f"{polls.base}/v1/polls/{poll_id}/events?ticket={ticket}"
    async with polls.session.get(url, headers=LISTED) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
        assert (await response.content.readline()).startswith(b"retry:")
