"""An address that floods the open routes is slowed, and refused no valid credential."""

import asyncio
from typing import Any, Final

import pytest

from shared.runtime.http.open_requests import WAIT_S
from tests.support.guards import FakeGuard
from tests.support.page_client import sign_in
from tests.support.stack import Authority

LIMIT: Final = 3
TIMES: Final = 20
"""Requests of each kind. If one kind waited, they would take more seconds than this."""
FLOODED: Final = ("/docs", "/openapi.json", "/docs/guide", "/docs/problems", "/metrics", "/no-such-path")
NEEDED: Final = ("/livez", "/readyz", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server")
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    return {"open_requests_per_minute": LIMIT, "trusted_proxy_hops": 0}


async def statuses(authority: Authority, *paths: str) -> set[int]:
    """Return the statuses of concurrent requests."""
    return {answer.status for answer in await asyncio.gather(*(authority("GET", path) for path in paths))}


async def test_documents_beyond_limit_return_429_with_retry_after(authority: Authority) -> None:
    await statuses(authority, *["/docs"] * LIMIT)

    answers = await asyncio.gather(*(authority("GET", path) for path in FLOODED))

    assert {answer.status for answer in answers} == {429}
    assert {answer.json["type"] for answer in answers} == {"/docs/problems/too-many-requests"}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 20 for answer in answers)


async def test_what_others_depend_on_returns_200_beyond_limit(authority: Authority) -> None:
    await statuses(authority, *["/docs"] * LIMIT)

    assert await statuses(authority, *NEEDED) == {200}


async def test_valid_credentials_are_accepted_at_once_beyond_limit(authority: Authority) -> None:
    token = (await authority.issue())["token"]
    await statuses(authority, *["/docs"] * (LIMIT + 1))
    loop, guard = asyncio.get_running_loop(), FakeGuard(authority)

    started = loop.time()
    found = []
    for _ in range(TIMES):
        found += [await authority.introspect(token), await guard.sync(), await authority.manage("GET", "/v1/sites")]
    took_s = loop.time() - started

    assert {answer.status for answer in found} == {200}
    assert took_s < TIMES * WAIT_S


async def test_holder_revokes_and_administrator_signs_in_beyond_limit(authority: Authority) -> None:
    token = (await authority.issue())["token"]
    await statuses(authority, *["/docs"] * LIMIT)

    revoked = await authority("POST", "/oauth2/revoke", data={"token": token}, headers=FORM)
    leaked = await authority("POST", "/v1/tokens/leaked", json={"tokens": [token]})
    page = await (await sign_in(authority, authority.admin_key)).get("/settings/tokens")

    assert (revoked.status, leaked.status) == (200, 200)
    assert revoked.json["effective"]
    assert page.status == 200


async def test_session_page_without_a_session_counts(authority: Authority) -> None:
    await statuses(authority, *["/settings/tokens"] * LIMIT)

    assert await statuses(authority, "/docs") == {429}
