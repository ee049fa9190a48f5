"""How a request to a guarded service presents its token, and what a refusal says about it."""

from urllib.parse import quote

import pytest

from shared.contract.token import mint
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

CHALLENGE = (
    'Bearer realm="http://127.0.0.1:8080", '
    'resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource"'
)
AROUND = ["%0A", "%0D%0A", "+", "%20%09", "%C2%A0"]


async def test_token_with_whitespace_around_it_returns_200(polls: Polls, subtests: pytest.Subtests) -> None:
    for name in ("token", "access_token"):
        for blank in AROUND:
            with subtests.test(name=name, blank=blank):
                assert (await polls("GET", f"/v1/polls?{name}={blank}{polls.token}{blank}")).status == 200
    for scheme in ("Bearer", "bearer", "BEARER  ", "Bearer    "):
        with subtests.test(scheme=scheme):
            headers = {"Authorization": f"{scheme} {polls.token} "}
            assert (await polls("GET", "/v1/polls", headers=headers)).status == 200


async def test_token_as_access_token_in_query_returns_200(polls: Polls) -> None:
    contract = f"/x1/{polls.endpoint}?access_token={polls.token}&type=polls&workspace=PLAT&content=PLAT-1"

    answers = [await polls("GET", path) for path in (f"/v1/polls?access_token={polls.token}", contract)]

    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store", "no-store"]


async def test_token_in_query_as_access_token_obeys_rule_against_it(polls: Polls, authority: Authority) -> None:
    token = (await authority.issue(allow_query=False))["token"]

    answer = await polls("GET", f"/v1/polls?access_token={token}")

    assert (answer.status, answer.json["type"]) == (403, "/docs/problems/query-not-allowed")
    assert answer.headers["WWW-Authenticate"] == CHALLENGE


async def test_two_presentations_return_400_with_challenge(polls: Polls, subtests: pytest.Subtests) -> None:
    token, bearer = polls.token, {"Authorization": f"Bearer {polls.token}"}
    requests = {
        "token twice": (f"?token={token}&token={token}", {}),
        "access_token twice": (f"?access_token={token}&access_token={token}", {}),
        "token and access_token": (f"?token={token}&access_token={token}", {}),
        "token and header": (f"?token={token}", bearer),
        "access_token and header": (f"?access_token={token}", bearer),
        "unreadable query": ("?token=%FF", {}),
    }
    for case, (query, headers) in requests.items():
        with subtests.test(case):
            answer = await polls("GET", f"/v1/polls{query}", headers=headers)

            assert (answer.status, answer.headers["WWW-Authenticate"]) == (400, f'{CHALLENGE}, error="invalid_request"')


async def test_missing_token_has_challenge_without_error(polls: Polls, subtests: pytest.Subtests) -> None:
    for path in ("/v1/polls", "/v1/polls?token=", "/v1/polls?access_token=%0A"):
        with subtests.test(path):
            answer = await polls("GET", path)

            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, CHALLENGE)


async def test_token_that_does_not_work_returns_401_with_challenge_and_the_same_text(
    polls: Polls, authority: Authority, subtests: pytest.Subtests
) -> None:
    revoked, disabled = await authority.issue(), await authority.issue()
    await authority.revoke(revoked["id"])
    await authority.manage("POST", f"/v1/tokens/{disabled['id']}/disable", {})
    tokens = {"unknown": mint("pgt"), "revoked": revoked["token"], "disabled": disabled["token"]}
    details = set()
    for case, token in tokens.items():
        with subtests.test(case):
            answer = await polls.with_token(token).v1("GET", "/polls")

            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, f'{CHALLENGE}, error="invalid_token"')
            details.add(answer.json["detail"])
    assert details == {
        "This access token does not work: it is unknown, disabled, expired or revoked. To see why, send it as "
        "'Authorization: Bearer …' to GET http://127.0.0.1:8081/v1/token."
    }


async def test_malformed_token_is_described_under_v1_and_the_contract(polls: Polls, subtests: pytest.Subtests) -> None:
    expected = {
        polls.token[:-1]: "mistyped or cut off",
        f"{polls.token[:-1]}!": "mistyped or cut off",
        f'"{polls.token}"': "other characters around it",
        f"{polls.token}%0A": "other characters around it",
        f"Bearer {polls.token}": "other characters around it",
        mint("pga"): "This is an admin key, not an access token",
        "secret": "This is not an access token: send pgt_ and 38 letters and digits.",
    }
    for token, text in expected.items():
        with subtests.test(text, length=len(token)):
            strict = await polls("GET", f"/v1/polls?token={quote(token)}")
            contract = await polls.with_token(token).call("GET")

            assert (strict.status, contract.status) == (401, 403)
            assert text in strict.json["detail"]
            assert text in contract.json["detail"]
            assert strict.headers["WWW-Authenticate"] == f'{CHALLENGE}, error="invalid_token"'
            assert contract.headers["WWW-Authenticate"] == f'{CHALLENGE}, error="invalid_token"'
            assert polls.token[10:30] not in f"{strict.body.decode()}{contract.body.decode()}"


async def test_missing_scope_has_challenge_with_scope(polls: Polls, authority: Authority) -> None:
    holder = polls.with_token((await authority.issue("polls:read:OTHER"))["token"])

    answer = await holder.call("GET")

    assert answer.status == 403
    assert answer.headers["WWW-Authenticate"] == (
        f'{CHALLENGE}, error="insufficient_scope", scope="polls:read:PLAT/PLAT-1"'
    )


async def test_challenge_leads_to_metadata_of_service(polls: Polls) -> None:
    answer = await polls("GET", "/.well-known/oauth-protected-resource")

    assert (answer.status, answer.json["resource"]) == (200, "http://127.0.0.1:8080")
    assert answer.json["bearer_methods_supported"] == ["header", "query"]
