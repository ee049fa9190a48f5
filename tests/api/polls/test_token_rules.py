"""Restrictions of a token that an administrator has set, as seen by an integrator."""

import re
from typing import Any

import pytest

from tests.support.stack import Authority, Polls
from tests.support.wall_clock import avoid_end_of_minute

pytestmark = pytest.mark.shared_services


async def test_token_in_url_without_allow_query_returns_403(authority: Authority, polls: Polls) -> None:
    refused = polls.with_token((await authority.issue(allow_query=False))["token"])

    answer = await refused.call("GET")

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/query-not-allowed")


async def test_token_from_address_that_is_not_allowed_returns_403(authority: Authority, polls: Polls) -> None:
    here = polls.with_token((await authority.issue(allowed_ips=["127.0.0.0/8"]))["token"])
    elsewhere = polls.with_token((await authority.issue(allowed_ips=["10.0.0.0/8"]))["token"])

    answer = await elsewhere.call("GET")

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/address-not-allowed")
    assert (await here.call("GET")).status == 200


async def test_request_over_rate_limit_of_token_returns_429(authority: Authority, polls: Polls) -> None:
    holder = polls.with_token((await authority.issue(rate_limit=1))["token"])

    allowed, limited = [await holder.call("GET") for _ in range(2)]

    assert (allowed.status, limited.status) == (200, 429)
    assert re.fullmatch(r'"token";r=0;t=\d+', allowed.headers["RateLimit"])
    assert limited.json["type"] == "/docs/problems/rate-limited"


def batch_of(number: int) -> dict[str, Any]:
    """Return a batch of this many items that create polls."""
    poll = {"template": "stars", "location": {"workspace": "PLAT", "content": "BATCH"}}
    return {"items": [{"op": "create", "poll": poll}] * number}


async def test_batch_counts_as_many_requests_as_it_has_items(authority: Authority, polls: Polls) -> None:
    await avoid_end_of_minute()
    holder = polls.with_token((await authority.issue(rate_limit=10))["token"])

    created = await holder.v1("POST", "/polls:batch", batch_of(7))
    refused = await holder.v1("POST", "/polls:batch", batch_of(4))
    fitting = await holder.v1("POST", "/polls:batch", batch_of(3))
    limited = await holder.v1("POST", "/polls:batch", batch_of(1))

    assert [answer.status for answer in (created, refused, fitting, limited)] == [200, 429, 200, 429]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in (created, refused, fitting)] == [
        "r=3",
        "r=3",
        "r=0",
    ]
    assert refused.json["type"] == "/docs/problems/rate-limited"
    assert "10 requests per minute, and this batch counts as 4. Try again in" in refused.json["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 120
    listed = await polls.v1("GET", "/polls", workspace="PLAT", content="BATCH")
    assert len(listed.json["items"]) == 10


async def test_batch_larger_than_rate_limit_of_token_returns_422(authority: Authority, polls: Polls) -> None:
    holder = polls.with_token((await authority.issue(rate_limit=10))["token"])

    answer = await holder.v1("POST", "/polls:batch", batch_of(11))

    assert (answer.status, answer.json["type"]) == (422, "/docs/problems/batch-over-rate-limit")
    assert "Send at most 10 items at once" in answer.json["detail"]
    assert (await holder.v1("POST", "/polls:batch", batch_of(10))).status == 200


async def test_batch_that_cannot_be_read_counts_as_one_request(authority: Authority, polls: Polls) -> None:
    holder = polls.with_token((await authority.issue(rate_limit=3))["token"])

    statuses = [(await holder.v1("POST", "/polls:batch", b"[")).status for _ in range(4)]

    assert statuses == [400, 400, 400, 429]
    assert (await holder.v1("GET", "/polls")).status == 429
