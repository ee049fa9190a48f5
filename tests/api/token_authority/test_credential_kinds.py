"""Credentials of another kind than the route accepts: refused by name, neither looked up nor counted."""

from typing import Any, Final

import pytest

from shared.contract.token import mint
from tests.support.client_keys import ClientKey, create_service_with_key
from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth

LIMIT: Final = 5
ROUTES: Final = {
    "administrator": ("GET", "/v1/sites", "send an admin key"),
    "service": ("POST", "/oauth2/introspect", "send the client id and secret of the service"),
    "token holder": ("GET", "/v1/token", "send an access token"),
}


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"wrong_credentials_per_minute": LIMIT}


async def send(authority: Authority, route: str, headers: dict[str, str]) -> Answer:
    method, path, _ = ROUTES[route]
    return await authority(method, path, headers=headers, data={"token": "x"} if method == "POST" else None)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_credential_of_another_kind_returns_401_with_its_name_and_does_not_count(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    issued, key = await authority.issue(), ClientKey()
    await create_service_with_key(authority, key)
    presented = {
        ("administrator", "an access token"): [bearer(issued["token"]), bearer(mint("pgt"))],
        ("administrator", "a client secret"): [bearer(CLIENT_SECRET), bearer(mint("pgs"))],
        ("administrator", "a client assertion"): [bearer(key.sign())],
        ("service", "an access token"): [
            bearer(issued["token"]),
            basic_auth("polls", issued["token"]),
            basic_auth(issued["token"], ""),
            bearer(mint("pgt")),
        ],
        ("service", "an admin key"): [bearer(authority.admin_key), basic_auth("polls", authority.admin_key)],
        ("service", "a client secret"): [bearer(CLIENT_SECRET)],
        ("token holder", "an admin key"): [bearer(authority.admin_key), bearer(mint("pga"))],
        ("token holder", "a client secret"): [bearer(CLIENT_SECRET), bearer(mint("pgs"))],
        ("token holder", "a client assertion"): [bearer(key.sign())],
    }
    for (route, name), headers in presented.items():
        with subtests.test(route=route, presented=name):
            for each in headers * (LIMIT + 1):
                answer = await send(authority, route, each)
                assert (answer.status, answer.json["detail"].startswith(f"This is {name}; {ROUTES[route][2]}")) == (
                    401,
                    True,
                )

    assert (await send(authority, "administrator", bearer(mint("pga")))).status == 401


async def test_malformed_credential_of_another_kind_counts(authority: Authority) -> None:
    mistyped = mint("pgt")[:-1] + "-"

    statuses = [(await send(authority, "administrator", bearer(mistyped))).status for _ in range(LIMIT + 1)]

    assert statuses == [401] * LIMIT + [429]
