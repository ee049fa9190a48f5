"""Bodies that cannot be read, from callers without a credential: counted per address and then refused unread."""

from typing import Any, Final

import pytest

from tests.support.raw_http import send_raw
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth

LIMIT: Final = 5
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"wrong_credentials_per_minute": LIMIT, "trusted_proxy_hops": 1}


async def send(authority: Authority, address: str, path: str, headers: dict[str, str], data: Any) -> Answer:
    return await authority("POST", path, headers={"X-Forwarded-For": address, **headers}, data=data)


async def report(authority: Authority, address: str) -> Answer:
    return await send(authority, address, "/v1/tokens/leaked", JSON, b'{"tokens": ["x"]}')


UNREADABLE: Final[dict[str, tuple[str, dict[str, str], Any, int]]] = {
    "report that is no JSON": ("/v1/tokens/leaked", JSON, b"[", 400),
    "report that is too long": ("/v1/tokens/leaked", JSON, b" " * 100_000, 413),
    "report that is a form": ("/v1/tokens/leaked", FORM, b"token=x", 415),
    "encoded report": ("/v1/tokens/leaked", {**JSON, "Content-Encoding": "gzip"}, b"{}", 415),
    "report without tokens": ("/v1/tokens/leaked", JSON, b"{}", 422),
    "revocation without token": ("/oauth2/revoke", FORM, b"x=1", 400),
    "revocation that is too long": ("/oauth2/revoke", FORM, b"token=" + b"x" * 10_000, 413),
    "revocation in JSON": ("/oauth2/revoke", JSON, b"{}", 415),
    "introspection with two credentials": (
        "/oauth2/introspect",
        {**FORM, **basic_auth("polls", "x")},
        b"token=x&client_secret=y",
        400,
    ),
}


async def test_unreadable_bodies_beyond_limit_of_address_return_429(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for number, (name, (path, headers, body, status)) in enumerate(UNREADABLE.items()):
        with subtests.test(name):
            address = f"203.0.113.{number}"

            statuses = [(await send(authority, address, path, headers, body)).status for _ in range(LIMIT + 1)]

            assert statuses == [status] * LIMIT + [429]
            assert (
                await send(authority, "198.51.100.1", "/v1/tokens/leaked", JSON, b'{"tokens": ["x"]}')
            ).status == 200


async def test_report_beyond_limit_returns_429_before_its_body_is_sent(authority: Authority) -> None:
    address = "203.0.113.99"
    for _ in range(LIMIT):
        await send(authority, address, "/v1/tokens/leaked", JSON, b"[")

    head = ["POST /v1/tokens/leaked HTTP/1.1", "Host: x", f"X-Forwarded-For: {address}", "Content-Length: 60000"]
    refused = await send_raw(authority, "\r\n".join([*head, "Content-Type: application/json", "", ""]).encode())

    assert refused.status == 429


async def test_good_callers_beyond_limit_of_unreadable_bodies_are_accepted(authority: Authority) -> None:
    token, address = (await authority.issue())["token"], "203.0.113.98"
    for _ in range(LIMIT + 1):
        await send(authority, address, "/oauth2/revoke", FORM, b"x=1")

    service = {**FORM, **basic_auth("polls", CLIENT_SECRET)}
    introspected = await send(authority, address, "/oauth2/introspect", service, f"token={token}")
    listed = await authority("GET", "/v1/sites", headers={**authority.admin, "X-Forwarded-For": address})
    revoked = await send(authority, address, "/oauth2/revoke?wait=false", FORM, f"token={token}")

    assert (introspected.status, introspected.json["active"], listed.status) == (200, True, 200)
    assert (revoked.status, "revoked_at" in revoked.json) == (200, True)


async def test_unreadable_body_of_administrator_does_not_count(authority: Authority) -> None:
    headers = {**JSON, **authority.admin}

    statuses = {
        (await send(authority, "203.0.113.97", "/v1/tokens", headers, body)).status
        for body in [b"[", b"{}", b" " * 100_000] * LIMIT
    }

    assert statuses == {400, 413, 422}
    assert (await report(authority, "203.0.113.97")).status == 200
