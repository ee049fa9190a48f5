"""Links that sign in once on the settings pages."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest

from pollgate.client import AuthorityClient, Forbidden
from tests.support.databases import ClonedDatabase
from tests.support.logs import capture_log_lines
from tests.support.postgres import fetch
from tests.support.stack import Answer, Authority, run_token_authority

pytestmark = pytest.mark.shared_services

COOKIE: Final = "pollgate_session"
TABLES: Final = ("sign_in_link", "session", "audit_log")


async def create_link(authority: Authority, key: str | None = None) -> str:
    """Create a link, as the admin key with this secret. Return its path with the code."""
    headers = {"Authorization": f"Bearer {key or authority.admin_key}"}
    answer = await authority("POST", "/v1/sign-in-links", headers=headers)
    assert answer.status == 201, answer.body
    return path_of(answer.json["url"])


def path_of(url: str) -> str:
    """Return the path of a link. The service of the test has another port than `TOKEN_AUTHORITY_ISSUER`."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def follow(authority: Authority, path: str, **headers: str) -> Answer:
    """Open a link in a browser without a session, and do not follow its redirect."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        browser = Authority(session, authority.base)
        return await browser("GET", path, headers={"Accept": "text/html", **headers}, allow_redirects=False)


@asynccontextmanager
async def run_client(
    database: ClonedDatabase, redis_url: str, folder: Path, issuer: str
) -> AsyncGenerator[AuthorityClient, None]:
    """Run an authority with this URL during the block. Yield a client of it."""
    settings = {"token_authority_issuer": issuer}
    async with (
        run_token_authority(database, redis_url, folder, **settings) as authority,
        AuthorityClient(authority.base, authority.admin_key) as client,
    ):
        yield client


async def create_admin_key(authority: Authority, **fields: Any) -> Any:
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "Ada", "role": "auditor", **fields})
    assert answer.status == 201, answer.body
    return answer.json


async def test_create_link_returns_201_with_url_of_issuer_for_ten_minutes(authority: Authority) -> None:
    answer = await authority.manage("POST", "/v1/sign-in-links")

    lasts = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert (answer.status, set(answer.json)) == (201, {"url", "expires_at"})
    assert answer.json["url"].startswith("http://127.0.0.1:8081/settings/sign-in/link?code=")
    assert timedelta(minutes=9) < lasts <= timedelta(minutes=10)


async def test_link_leads_to_tokens_with_303_and_cookie_of_session(authority: Authority) -> None:
    signed_in = await follow(authority, await create_link(authority))

    cookie = SimpleCookie(signed_in.headers["Set-Cookie"])[COOKIE]
    page = await follow(authority, "/settings/tokens", Cookie=f"{COOKIE}={cookie.value}")
    assert (signed_in.status, signed_in.headers["Location"]) == (303, "/settings/tokens")
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert signed_in.headers["Cache-Control"] == "no-store"
    assert page.status == 200
    assert "Access tokens" in page.body.decode()


async def test_session_of_link_has_rights_of_admin_key_that_created_it(authority: Authority) -> None:
    key = await create_admin_key(authority, name="Payments", role="issuer", scopes=["polls:*:PAY"])
    await authority.issue("polls:read:PAY", name="within")
    await authority.issue("polls:read:OPS", name="beyond")

    signed_in = await follow(authority, await create_link(authority, key["key"]))

    session = SimpleCookie(signed_in.headers["Set-Cookie"])[COOKIE].value
    page = (await follow(authority, "/settings/tokens", Cookie=f"{COOKIE}={session}")).body.decode()
    assert "Payments" in page
    assert "within" in page
    assert "beyond" not in page


async def test_start_of_session_by_link_is_in_the_audit_log(authority: Authority) -> None:
    key = await create_admin_key(authority)
    link = await create_link(authority, key["key"])
    before = (await authority.manage("GET", "/v1/audit?limit=1000")).json["items"]

    await follow(authority, link)

    after = (await authority.manage("GET", "/v1/audit?limit=1000")).json["items"]
    (record,) = after[len(before) :]
    assert (record["action"], record["actor"], record["actor_id"]) == ("session.start", "admin_key", key["id"])
    assert record["after"] == {"by": "link"}
    assert record["subject"].startswith("session:ses_")


async def test_link_used_twice_at_once_or_again_signs_in_once_and_returns_403(authority: Authority) -> None:
    link = await create_link(authority)

    answers = await asyncio.gather(*(follow(authority, link) for _ in range(5)))
    again = await follow(authority, link)

    assert sorted(answer.status for answer in answers) == [303, 403, 403, 403, 403]
    assert again.status == 403
    assert "Set-Cookie" not in again.headers
    assert "This link was used before, or has expired." in again.body.decode()


async def test_expired_link_returns_403(authority: Authority, database: ClonedDatabase) -> None:
    link = await create_link(authority)
    await fetch(database.admin_url, "UPDATE token_authority.sign_in_link SET expires_at = now()")

    assert (await follow(authority, link)).status == 403


async def test_link_without_code_or_with_unknown_code_returns_403(authority: Authority) -> None:
    await create_link(authority)

    for query in ("", "?code=", "?code=unknown"):
        assert (await follow(authority, f"/settings/sign-in/link{query}")).status == 403


async def test_link_of_revoked_admin_key_returns_403(authority: Authority) -> None:
    key = await create_admin_key(authority)
    link = await create_link(authority, key["key"])
    await authority.manage("DELETE", f"/v1/admin-keys/{key['id']}")

    assert (await follow(authority, link)).status == 403


async def test_link_of_rotated_admin_key_returns_403_when_its_secret_ends(authority: Authority) -> None:
    key = await create_admin_key(authority)
    during_overlap, after_it = [await create_link(authority, key["key"]) for _ in range(2)]
    path = f"/v1/admin-keys/{key['id']}/rotate"

    await authority.manage("POST", path, {"overlap_s": 60})
    first = await follow(authority, during_overlap)
    await authority.manage("POST", path, {"overlap_s": 0})
    second = await follow(authority, after_it)

    assert (first.status, second.status) == (303, 403)


@pytest.mark.parametrize("host", ["authority.example", "10.0.0.7:8081", "127.0.0.1.authority.example"])
async def test_link_under_another_host_returns_403_and_is_not_used_up(authority: Authority, host: str) -> None:
    link = await create_link(authority)

    refused = await follow(authority, link, Host=host)

    assert (refused.status, "Set-Cookie" in refused.headers) == (403, False)
    assert (await follow(authority, link)).status == 303


async def test_code_of_link_is_neither_in_log_nor_in_database_nor_in_audit_log(
    authority: Authority, database: ClonedDatabase
) -> None:
    with capture_log_lines() as lines:
        link = await create_link(authority)
        stored = [await fetch(database.admin_url, f"SELECT t::text FROM token_authority.{each} t") for each in TABLES]
        await follow(authority, link)
        await follow(authority, link)
        stored += [await fetch(database.admin_url, f"SELECT t::text FROM token_authority.{each} t") for each in TABLES]

    code = link.partition("code=")[2]
    assert len(code) == 43
    assert sum("sign-in" in str(line) for line in lines) == 3
    assert code not in str(lines)
    assert code not in str(stored)


async def test_create_link_without_admin_key_returns_401(authority: Authority) -> None:
    token = (await authority.issue())["token"]

    assert (await authority("POST", "/v1/sign-in-links")).status == 401
    assert (await authority("POST", "/v1/sign-in-links", headers={"Authorization": f"Bearer {token}"})).status == 401


@pytest.mark.own_services
async def test_create_link_at_authority_with_url_of_other_hosts_returns_403(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for issuer in ("https://authority.example", "http://10.0.0.7:8081", "http://localhost.example"):
        with subtests.test(issuer=issuer):
            async with run_client(database, redis_url, tmp_path, issuer) as client:
                with pytest.raises(Forbidden) as refused:
                    await client.create_sign_in_link()

            assert "Sign in on its settings pages with an admin key" in refused.value.detail
            assert await fetch(database.admin_url, "SELECT FROM token_authority.sign_in_link") == []


@pytest.mark.own_services
async def test_create_link_at_authority_with_loopback_url_returns_link_there(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for issuer in ("http://localhost:8081/", "http://[::1]:8081", "https://127.0.0.1:8443"):
        with subtests.test(issuer=issuer):
            async with run_client(database, redis_url, tmp_path, issuer) as client:
                link = await client.create_sign_in_link()

            assert link.url.startswith(f"{issuer.rstrip('/')}/settings/sign-in/link?code=")
            assert link.expires_at > datetime.now(UTC)


async def test_sixth_link_of_a_key_replaces_its_oldest(authority: Authority) -> None:
    paths = [await create_link(authority) for _ in range(6)]

    statuses = [(await follow(authority, path, Host="127.0.0.1")).status for path in paths]

    assert statuses == [403, 303, 303, 303, 303, 303]
