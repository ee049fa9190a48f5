"""The guard in front of the polls service. Under `/x1`, 403 is returned where RFC 6750 has 401."""

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


async def test_contract_request_with_missing_or_invalid_token_returns_403(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    for method in METHODS:
        for token in ["", "x", "pgt_" + "A" * 38, mint("pgt"), mint("pga"), "\0", "é"]:
            with subtests.test(method, token=token[:4]):
                answer = await polls.with_token(token).call(method, LUNCH, pollId=SOME_ID)

                assert answer.status == 403
                assert answer.headers["Content-Type"] == "application/problem+json"


async def test_contract_request_without_query_returns_403(polls: Polls) -> None:
    assert (await polls("GET", f"/x1/{polls.endpoint}")).status == 403


async def test_contract_request_without_action_of_method_returns_403_or_404(
    polls: Polls, authority: Authority, subtests: pytest.Subtests
) -> None:
    for method, allowed in product(METHODS, METHODS.values()):
        with subtests.test(method=method, allowed=allowed):
            token = (await authority.issue(f"polls:{allowed}:PLAT"))["token"]

            answer = await polls.with_token(token).call(method, LUNCH, pollId=SOME_ID)

            if METHODS[method] == allowed:
                assert answer.status in (200, 404)
            else:
                assert answer.status == 403
                assert f"polls:{METHODS[method]}:PLAT/PLAT-1" in answer.json["detail"]


async def test_request_out_of_scope_with_cached_token_returns_403(polls: Polls, authority: Authority) -> None:
    narrow = polls.with_token((await authority.issue("polls:read:PLAT/PLAT-1"))["token"])

    assert (await narrow.call("GET")).status == 200
    assert (await narrow.at_place(workspace="PLAT", content="PLAT-2").call("GET")).status == 403
    assert (await narrow.at_place(workspace="OTHER", content="PLAT-1").call("GET")).status == 403
    assert (await narrow.call("GET")).status == 200


async def test_request_with_cached_token_after_expiry_returns_403(polls: Polls, authority: Authority) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    brief = polls.with_token((await authority.issue("polls:*:*", expires_at=soon.isoformat()))["token"])

    assert (await brief.call("GET")).status == 200
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.05)
    assert (await brief.call("GET")).status == 403


async def test_contract_request_with_revoked_token_returns_403(polls: Polls, authority: Authority) -> None:
    issued = await authority.issue()
    mine = polls.with_token(issued["token"])
    assert (await mine.call("GET")).status == 200

    await authority.revoke(issued["id"])

    assert (await mine.call("GET")).status == 403


async def test_token_at_endpoint_of_another_site_returns_404(polls: Polls) -> None:
    other = polls.with_token(polls.token)
    other.endpoint = "B" * 27

    assert (await other.call("GET")).status == 404


async def test_token_sent_twice_returns_400(polls: Polls, subtests: pytest.Subtests) -> None:
    for extra in ["&token=x", "&token=", "&tok%65n=x"]:
        with subtests.test(extra=extra):
            path = f"/x1/{polls.endpoint}?token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"

            assert (await polls("GET", path + extra)).status == 400
            assert (await polls("GET", path, headers={"Authorization": f"Bearer {polls.token}"})).status == 400


async def test_token_as_bearer_or_percent_encoded_returns_200(polls: Polls) -> None:
    where = f"/x1/{polls.endpoint}?type=polls&workspace=PLAT&content=PLAT-1"
    encoded = "".join(f"%{ord(character):02X}" for character in polls.token)

    assert (await polls("GET", where, headers={"Authorization": f"Bearer {polls.token}"})).status == 200
    assert (await polls("GET", f"{where}&tok%65n={encoded}")).status == 200


async def test_invalid_token_and_missing_parameters_return_403(polls: Polls) -> None:
    assert (await polls("GET", f"/x1/{polls.endpoint}?token=x")).status == 403


async def test_token_in_wrong_place_is_not_repeated_in_response(polls: Polls, authority: Authority) -> None:
    narrow = polls.with_token((await authority.issue("polls:read:PLAT"))["token"])
    encoded = quote(quote(narrow.token))

    answers = [
        await narrow.at_place(workspace=narrow.token, content="1").call("GET"),
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


async def test_every_response_has_safe_headers_and_request_id(polls: Polls, authority: Authority) -> None:
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


async def test_unknown_method_returns_405_and_unknown_path_404(polls: Polls) -> None:
    assert (await polls.call("PATCH", LUNCH)).status == 405
    assert (await polls("GET", "/v9/polls")).status == 404
