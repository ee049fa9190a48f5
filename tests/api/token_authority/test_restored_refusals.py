"""While the database is restored, every route that needs a credential or looks up a token refuses with 503."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from services.token_authority.domain.actor import SYSTEM
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import Restored
from services.token_authority.domain.restoration import Evidence
from services.token_authority.handlers.access import (
    ANONYMOUS,
    ANONYMOUS_REPORT,
    SERVICES,
    SERVICES_DURING_RESTORATION,
    TOKEN_HOLDER,
)
from services.token_authority.routes import ROUTES
from services.token_authority.storage.audit import audited_transaction
from services.token_authority.storage.restoration import begin_restoration
from shared.contract.token import mint
from shared.runtime.http.routes import PUBLIC, Route
from shared.runtime.postgres.database import database as open_database
from tests.support.databases import ClonedDatabase
from tests.support.page_client import Browser, sign_in
from tests.support.postgres import fetch
from tests.support.stack import CLIENT_SECRET, Authority, basic_auth, run_token_authority

EVIDENCE = Evidence("operator", "an operator has restored a backup", 7, 3)


async def begin(database: ClonedDatabase) -> None:
    """Begin a restoration, as any process or operator does."""
    async with open_database(database.token_authority_url, size=1, statement_cache=0) as opened:
        assert await begin_restoration(opened, EVIDENCE)
        assert not await begin_restoration(opened, EVIDENCE)


def request_for(route: Route, authority: Authority, token: str) -> tuple[str, dict[str, Any]]:
    """Return a path and options of a request with a valid credential, and with a valid body where there is no other."""
    path = route.path
    for name in ("id", "key_id", "client_id", "guard_id"):
        path = path.replace(f"{{{name}}}", "0123456789abcdef")
    json = {"Content-Type": "application/json"}
    if route.access is ANONYMOUS:
        return path, {"data": {"token": token}}
    if route.access is ANONYMOUS_REPORT:
        return path, {"headers": json, "data": msgspec.json.encode({"tokens": [token]})}
    if route.access is TOKEN_HOLDER:
        return path, {"headers": {"Authorization": f"Bearer {token}", **json}}
    if route.access in (SERVICES, SERVICES_DURING_RESTORATION):
        form = {"Content-Type": "application/x-www-form-urlencoded"} if route.path == "/oauth2/introspect" else json
        data = urlencode({"token": token}) if route.path == "/oauth2/introspect" else b'{"changes": []}'
        return path, {"headers": {**basic_auth("polls", CLIENT_SECRET), **form}, "data": data}
    return path, {"headers": {**authority.admin, **json}}


@pytest.mark.parametrize("kind", ["a working token", "an unknown token"])
async def test_every_route_with_a_credential_or_a_token_returns_503_restored(
    authority: Authority, database: ClonedDatabase, subtests: pytest.Subtests, kind: str
) -> None:
    token = (await authority.issue())["token"] if kind == "a working token" else mint("pgt")
    await begin(database)

    for route in ROUTES:
        if route.access is PUBLIC or route.access is SERVICES_DURING_RESTORATION:
            continue
        with subtests.test(f"{route.method} {route.path}"):
            path, options = request_for(route, authority, token)
            answer = await authority(route.method, path, **options)

            assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), answer.body
            assert answer.json["type"] == "/docs/problems/restored"
            assert "pollgate restore finish" in answer.json["detail"]


async def test_service_unknown_to_the_restored_database_gets_503_and_not_401(
    authority: Authority, database: ClonedDatabase
) -> None:
    await begin(database)

    answer = await authority.introspect(mint("pgt"), "created-after-the-backup", mint("pgs"))

    assert answer.json["type"] == "/docs/problems/restored"


async def test_settings_pages_and_sign_in_are_refused(authority: Authority, database: ClonedDatabase) -> None:
    browser = await sign_in(authority, authority.admin_key)
    signing_in = await Browser(authority).get("/settings/sign-in")
    await begin(database)

    page = await browser.get("/settings/tokens")
    signed_in = await Browser(authority, {}).send(signing_in, "/settings/sign-in", admin_key=authority.admin_key)

    assert (page.status, signed_in.status) == (503, 503)
    assert "pollgate restore finish" in page.text


async def test_sign_in_link_of_before_is_refused(authority: Authority, database: ClonedDatabase) -> None:
    link = urlsplit((await authority.manage("POST", "/v1/sign-in-links")).json["url"])
    await begin(database)

    page = await Browser(authority).get(f"{link.path}?{link.query}")

    assert (page.status, "pollgate restore finish" in page.text) == (503, True)


async def test_health_metrics_keys_and_metadata_stay_open_and_say_what_happens(
    authority: Authority, database: ClonedDatabase
) -> None:
    assert (await authority("GET", "/readyz")).status == 200
    await begin(database)

    ready = await wait_for_unready(authority)

    assert "(an operator says so)" in ready["checks"]["restoration"]
    assert "pollgate restore finish" in ready["checks"]["restoration"]
    for path in ("/livez", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/docs"):
        assert (await authority("GET", path)).status == 200, path
    assert await read_metric_until(authority, 1.0) == 1.0


async def test_process_that_starts_during_a_restoration_serves_and_refuses(
    database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path):
        pass
    await begin(database)

    async with run_token_authority(database, redis_url, tmp_path) as authority:
        assert (await authority("GET", "/livez")).status == 200
        assert (await authority.introspect(mint("pgt"))).json["type"] == "/docs/problems/restored"


async def test_change_that_was_authenticated_before_is_not_recorded_after(
    authority: Authority, database: ClonedDatabase
) -> None:
    """An operation that has passed the check of the credential is stopped by its audit record."""
    before = await fetch(database.admin_url, "SELECT max(seq) AS seq FROM token_authority.audit_log")
    async with open_database(database.token_authority_url, size=2, statement_cache=0) as opened:
        await begin(database)
        with pytest.raises(Restored):
            async with audited_transaction(opened) as transaction:
                await transaction.record(AuditEntry(SYSTEM, "token.enable", "token:tok_1"))

    assert await fetch(database.admin_url, "SELECT max(seq) AS seq FROM token_authority.audit_log") == before


async def wait_for_unready(authority: Authority) -> Any:
    """Return the checks of `/readyz` as soon as it is 503; its results are kept for half a second."""
    async with asyncio.timeout(5):
        while (answer := await authority("GET", "/readyz")).status != 503:
            await asyncio.sleep(0.05)
    return answer.json


async def read_metric_until(authority: Authority, value: float) -> float:
    """Return the metric of restorations as soon as it has this value."""
    async with asyncio.timeout(5):
        while f"pollgate_restored {value}" not in (await authority("GET", "/metrics")).body.decode():
            await asyncio.sleep(0.05)
    return value
