"""Who gets through to the polls, and who does not: 403 where RFC 6750 would say 401, as the contract has it."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import quote

import pytest

from shared.contract.token import mint
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

METHODS = {"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}
SOME_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"
LUNCH = {"title": "Lunch?", "options": [{"id": "y", "title": "Yes"}]}


async def test_a_token_that_is_missing_or_not_valid_is_403(polls: Polls, subtests: pytest.Subtests) -> None:
    for method in METHODS:
        for token in ["", "x", "pgt_" + "A" * 38, mint("pgt"), mint("pga"), "\0", "é"]:
            with subtests.test(method, token=token[:4]):
                answer = await polls.holding(token).call(method, LUNCH, pollId=SOME_ID)

                assert answer.status == 403
                assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_request_without_any_query_is_403(polls: Polls) -> None:
    assert (await polls("GET", f"/x1/{polls.endpoint}")).status == 403


async def test_a_token_does_what_its_actions_say_and_no_more(
    polls: Polls, authority: Authority, subtests: pytest.Subtests
) -> None:
    for method, allowed in product(METHODS, METHODS.values()):
        with subtests.test(method=method, allowed=allowed):
            token = (await authority.issue(f"polls:{allowed}:PLAT"))["token"]

            answer = await polls.holding(token).call(method, LUNCH, pollId=SOME_ID)

            if METHODS[method] == allowed:
                assert answer.status in (200, 404)
            else:
                assert answer.status == 403
                assert f"polls:{METHODS[method]}:PLAT/PLAT-1" in answer.json["detail"]


async def test_scope_is_checked_on_hits_too(polls: Polls, authority: Authority) -> None:
    narrow = polls.holding((await authority.issue("polls:read:PLAT/PLAT-1"))["token"])

    assert (await narrow.call("GET")).status == 200
    assert (await narrow.at(workspace="PLAT", content="PLAT-2").call("GET")).status == 403
    assert (await narrow.at(workspace="OTHER", content="PLAT-1").call("GET")).status == 403
    assert (await narrow.call("GET")).status == 200


async def test_expiry_is_checked_on_hits_too(polls: Polls, authority: Authority) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    brief = polls.holding((await authority.issue("polls:*:*", expires_at=soon.isoformat()))["token"])

    assert (await brief.call("GET")).status == 200
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.05)
    assert (await brief.call("GET")).status == 403


async def test_a_revoked_token_is_refused(polls: Polls, authority: Authority) -> None:
    issued = await authority.issue()
    mine = polls.holding(issued["token"])
    assert (await mine.call("GET")).status == 200

    await authority.revoke(issued["id"])

    assert (await mine.call("GET")).status == 403


async def test_a_token_at_another_sites_endpoint_is_404(polls: Polls) -> None:
    other = polls.holding(polls.token)
    other.endpoint = "B" * 27

    assert (await other.call("GET")).status == 404


async def test_a_token_given_twice_is_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for extra in ["&token=x", "&token=", "&tok%65n=x"]:
        with subtests.test(extra=extra):
            path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"

            assert (await polls("GET", path + extra)).status == 400
            assert (await polls("GET", path, headers={"Authorization": f"Bearer {polls.token}"})).status == 400


async def test_a_token_may_be_a_bearer_and_may_be_percent_encoded(polls: Polls) -> None:
    where = f"/x1/{polls.endpoint}?type=polls&workspace=PLAT&content=PLAT-1"
    encoded = "".join(f"%{ord(character):02X}" for character in polls.token)

    assert (await polls("GET", where, headers={"Authorization": f"Bearer {polls.token}"})).status == 200
    assert (await polls("GET", f"{where}&tok%65n={encoded}")).status == 200


async def test_403_comes_before_400(polls: Polls) -> None:
    assert (await polls("GET", f"/x1/{polls.endpoint}?token=x")).status == 403


async def test_a_token_in_the_wrong_place_is_not_repeated(polls: Polls, authority: Authority) -> None:
    narrow = polls.holding((await authority.issue("polls:read:PLAT"))["token"])
    encoded = quote(quote(narrow.token))

    answers = [
        await narrow.at(workspace=narrow.token, content="1").call("GET"),
        await narrow.call("GET", type=narrow.token),
        await narrow.call("GET", expand=encoded),
        await polls.call("POST", {**LUNCH, "settings": {"resultsVisibility": narrow.token}}),
        await polls("GET", f"/x1/{narrow.token}"),
        await polls("GET", f"/{narrow.token}"),
        await polls("GET", "/livez", headers={"X-Request-ID": narrow.token}),
    ]

    for answer in answers:
        assert narrow.token not in str((answer.headers, answer.body))
    assert [answer.status for answer in answers] == [403, 400, 400, 400, 403, 404, 200]


async def test_every_answer_carries_the_safe_headers_and_a_request_id(polls: Polls, authority: Authority) -> None:
    answers = [
        await polls.call("GET"),
        await polls("GET", "/nowhere"),
        await polls("GET", "/livez", headers={"X-Request-ID": "mine-1"}),
        await authority("GET", "/v1/tokens"),
    ]

    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in answer.headers["Server"]
        assert answer.headers["X-Request-ID"]
    assert answers[2].headers["X-Request-ID"] == "mine-1"


async def test_an_unknown_method_is_405_and_an_unknown_path_404(polls: Polls) -> None:
    assert (await polls.call("PATCH", LUNCH)).status == 405
    assert (await polls("GET", "/v9/polls")).status == 404
