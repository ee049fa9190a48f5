"""The rules that an administrator gives a token, as an integrator meets them."""

import re

import pytest

from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services


async def test_a_token_that_may_not_stand_in_a_url_is_403_there(authority: Authority, polls: Polls) -> None:
    refused = polls.holding((await authority.issue(allow_query=False))["token"])

    answer = await refused.call("GET")

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/query-not-allowed")


async def test_a_token_of_other_networks_is_403(authority: Authority, polls: Polls) -> None:
    here = polls.holding((await authority.issue(allowed_ips=["127.0.0.0/8"]))["token"])
    elsewhere = polls.holding((await authority.issue(allowed_ips=["10.0.0.0/8"]))["token"])

    answer = await elsewhere.call("GET")

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/address-not-allowed")
    assert (await here.call("GET")).status == 200


async def test_a_token_beyond_its_limit_is_429(authority: Authority, polls: Polls) -> None:
    limited = polls.holding((await authority.issue(rate_limit=1))["token"])

    good, beyond = [await limited.call("GET") for _ in range(2)]

    assert (good.status, beyond.status) == (200, 429)
    assert re.fullmatch(r'"token";r=0;t=\d+', good.headers["RateLimit"])
    assert beyond.json["type"] == "/docs/problems/rate-limited"
