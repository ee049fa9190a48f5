"""Errors on `/oauth2/`: `application/json` with `error` and `error_description` (RFC 6749 §5.2)."""

from typing import Any

import pytest

from shared.contract.token import mint
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth

FORM = "application/x-www-form-urlencoded"
GOOD = basic_auth("polls", CLIENT_SECRET)


def status_and_error(answer: Answer, media_type: str = "application/json") -> tuple[int, str | None]:
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, answer.json.get("error")


FAULTS: list[tuple[str, dict[str, Any], int, str]] = [
    ("introspect", {"data": {"token": "x"}}, 401, "invalid_client"),
    ("introspect", {"data": {"token": "x"}, "headers": basic_auth("polls", "x")}, 401, "invalid_client"),
    ("introspect", {"data": {}, "headers": {**GOOD, "Content-Type": FORM}}, 400, "invalid_request"),
    ("introspect", {"json": {"token": "x"}, "headers": GOOD}, 415, "invalid_request"),
    ("introspect", {"data": {"token": "x" * 70_000}, "headers": GOOD}, 413, "invalid_request"),
    ("introspect/batch", {"json": {}, "headers": GOOD}, 422, "invalid_request"),
    ("revoke", {"data": {"tokens": "x"}}, 400, "invalid_request"),
    ("revoke?wait=x", {"data": {"token": "x"}}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("path", "options", "status", "error"), FAULTS)
async def test_client_error_on_oauth_route_has_oauth_error_code(
    authority: Authority, path: str, options: dict[str, Any], status: int, error: str
) -> None:
    answer = await authority("POST", f"/oauth2/{path}", **options)

    assert status_and_error(answer) == (status, error)
    assert answer.json["error_description"]


async def test_error_description_has_only_characters_that_oauth_allows(authority: Authority) -> None:
    headers = {**GOOD, "Content-Type": FORM}

    answer = await authority("POST", "/oauth2/introspect", headers=headers, data=b"token=a&token=b")
    odd = await authority("POST", "/oauth2/revoke?%22%5C%C3%A9=1", data={"token": "x"})

    assert answer.json["error_description"] == answer.json["detail"]
    assert '"\\é' in odd.json["detail"]
    assert "'/?" in odd.json["error_description"]


async def test_error_on_other_route_has_no_oauth_code(authority: Authority) -> None:
    for answer in (await authority("GET", "/v1/tokens"), await authority("GET", "/oauth2/nothing")):
        assert status_and_error(answer, "application/problem+json") == (answer.status, None)
        assert "error_description" not in answer.json


ACCEPTED = [
    ("*/*", "application/json"),
    ("application/json", "application/json"),
    ("application/json, application/problem+json;q=0.5", "application/json"),
    ("application/problem+json", "application/problem+json"),
    ("application/problem+json, application/json;q=0.9", "application/problem+json"),
    ("text/html", "application/json"),
]


async def test_error_on_oauth_route_is_problem_document_only_if_accept_header_prefers_it(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for accept, media_type in ACCEPTED:
        with subtests.test(accept=accept):
            answer = await authority("POST", "/oauth2/introspect", data={"token": "x"}, headers={"Accept": accept})

            assert status_and_error(answer, media_type) == (401, "invalid_client")
            assert answer.json["type"] == "/docs/problems/unauthenticated"


async def test_error_on_oauth_route_does_not_repeat_secret(authority: Authority) -> None:
    secret = mint("pgt")

    answer = await authority("POST", f"/oauth2/revoke?{secret}=1", data={"token": "x"})

    assert answer.status == 400
    assert secret not in answer.body.decode()


async def test_429_on_oauth_route_has_no_oauth_code(authority: Authority) -> None:
    await _exhaust(authority)

    answer = await authority(
        "POST", "/oauth2/introspect", headers=basic_auth("polls", mint("pgs")), data={"token": "x"}
    )

    assert status_and_error(answer) == (429, None)


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"wrong_credentials_per_minute": 3}


async def _exhaust(authority: Authority) -> None:
    for _ in range(3):
        assert (await authority("GET", "/v1/sites", headers={"Authorization": "Bearer x"})).status == 401
