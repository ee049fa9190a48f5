"""Restrictions of a token that an administrator has set, as seen by an integrator."""

import re

import pytest

from tests.support.stack import Authority, Polls

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
