"""Signing in and out on the settings pages, and what ends a session."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.page_client import SIGN_IN, Browser, sign_in
from tests.support.postgres import fetch
from tests.support.raw_http import send_raw
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

TOKENS = "/settings/tokens"


async def create_key(authority: Authority, role: str = "auditor", **fields: Any) -> Any:
    """Create an admin key and return the body of the 201."""
    answer = await authority.manage("POST", "/v1/admin-keys", {"name": "second", "role": role, **fields})
    assert answer.status == 201, answer.body
    return answer.json


async def is_signed_in(browser: Browser) -> bool:
    """Return whether the browser sees the list of tokens."""
    return (await browser.get(TOKENS)).status == 200


async def age_sessions(database: ClonedDatabase, column: str, age: timedelta) -> None:
    """Move a time of every session into the past."""
    await fetch(database.admin_url, f"UPDATE token_authority.session SET {column} = now() - $1::interval", age)


async def test_page_without_session_leads_to_sign_in_and_back(authority: Authority) -> None:
    browser = Browser(authority)

    asked = await browser.get(f"{TOKENS}?status=active")
    form = await browser.follow(asked)
    signed_in = await browser.send(form, admin_key=authority.admin_key)

    assert asked.location == f"{SIGN_IN}?next=/settings/tokens?status%3Dactive"
    assert (signed_in.status, signed_in.location) == (303, f"{TOKENS}?status=active")


async def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(authority: Authority) -> None:
    page = await Browser(authority).sign_in(authority.admin_key)

    cookie = page.headers["Set-Cookie"]

    assert cookie.startswith("pollgate_session=")
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))


async def test_session_is_stored_as_a_hash(authority: Authority, database: ClonedDatabase) -> None:
    page = await Browser(authority).sign_in(authority.admin_key)
    secret = page.headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    rows = await fetch(database.admin_url, "SELECT s::text AS text FROM token_authority.session s")

    assert len(rows) == 1
    assert secret not in rows[0]["text"]


async def test_sign_in_replaces_the_session_that_the_browser_had(authority: Authority) -> None:
    browser = await sign_in(authority, authority.admin_key)
    planted = browser.copy()

    await browser.post(SIGN_IN, [("admin_key", authority.admin_key)])

    assert await is_signed_in(browser)
    assert not await is_signed_in(planted)


async def test_cookie_that_the_service_did_not_make_is_never_a_session(authority: Authority) -> None:
    browser = Browser(authority, {"pollgate_session": "chosen-by-an-attacker"})

    page = await browser.sign_in(authority.admin_key)

    assert "chosen-by-an-attacker" not in page.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("", "Enter an admin key."),
        ("pga_0123456789", "The admin key is mistyped or cut off"),
        ("hunter2", "This is not an admin key"),
    ],
)
async def test_wrong_admin_key_is_refused_with_a_reason(authority: Authority, wrong: str, message: str) -> None:
    page = await Browser(authority).submit(SIGN_IN, admin_key=wrong)

    assert page.status in (401, 422)
    assert message in page.text
    assert not wrong or wrong not in page.html


async def test_access_token_does_not_sign_in(authority: Authority) -> None:
    token = (await authority.issue())["token"]

    page = await Browser(authority).submit(SIGN_IN, admin_key=token)

    assert page.status == 401
    assert "This is an access token; send an admin key" in page.text
    assert token not in page.html


async def test_sign_out_ends_the_session_everywhere(authority: Authority) -> None:
    browser = await sign_in(authority, authority.admin_key)
    copy = browser.copy()

    page = await browser.submit(TOKENS, "/settings/sign-out")

    assert (page.status, page.location) == (303, "/settings/sign-in?out=true")
    assert not await is_signed_in(copy)


async def test_revocation_of_the_admin_key_ends_its_sessions(authority: Authority) -> None:
    key = await create_key(authority)
    browser = await sign_in(authority, key["key"])
    assert await is_signed_in(browser)

    await authority.manage("DELETE", f"/v1/admin-keys/{key['id']}")

    assert not await is_signed_in(browser)


async def test_rotation_that_ends_the_secret_ends_the_sessions_of_that_secret(authority: Authority) -> None:
    key = await create_key(authority)
    browser = await sign_in(authority, key["key"])

    rotated = (await authority.manage("POST", f"/v1/admin-keys/{key['id']}/rotate", {"overlap_s": 0})).json

    assert not await is_signed_in(browser)
    assert await is_signed_in(await sign_in(authority, rotated["key"]))


@pytest.mark.parametrize("change", ["scopes = '{polls:read:OPS}'", "role = 'auditor', scopes = NULL", "sites = '{}'"])
async def test_other_rights_of_the_admin_key_end_its_sessions(
    authority: Authority, database: ClonedDatabase, change: str
) -> None:
    key = await create_key(authority, "issuer", scopes=["polls:read:PLAT", "polls:read:OPS"])
    browser = await sign_in(authority, key["key"])
    assert await is_signed_in(browser)

    await fetch(database.admin_url, f"UPDATE token_authority.admin_key SET {change} WHERE id = $1", key["id"])

    assert not await is_signed_in(browser)


async def test_session_without_a_request_for_half_an_hour_is_over(
    authority: Authority, database: ClonedDatabase
) -> None:
    browser = await sign_in(authority, authority.admin_key)

    await age_sessions(database, "last_seen_at", timedelta(minutes=29))
    assert await is_signed_in(browser)
    await age_sessions(database, "last_seen_at", timedelta(minutes=31))

    assert not await is_signed_in(browser)


async def test_session_in_use_is_over_after_twelve_hours(authority: Authority, database: ClonedDatabase) -> None:
    browser = await sign_in(authority, authority.admin_key)

    await age_sessions(database, "created_at", timedelta(hours=11, minutes=59))
    assert await is_signed_in(browser)
    await age_sessions(database, "created_at", timedelta(hours=12, minutes=1))

    assert not await is_signed_in(browser)


async def test_form_of_a_session_that_is_over_changes_nothing_and_says_so(
    authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue(name="kept")
    browser = await sign_in(authority, authority.admin_key)
    form = await browser.get(f"{TOKENS}/{issued['id']}/revoke")
    await age_sessions(database, "last_seen_at", timedelta(hours=1))

    page = await browser.send(form, reason="unneeded")

    path = f"/settings/tokens/{issued['id']}/revoke"
    assert (page.status, page.location) == (303, f"/settings/sign-in?ended=true&next={path}")
    assert "Your session is over, so nothing was changed." in (await browser.follow(page)).text
    assert (await authority.introspect(issued["token"])).json["active"]


@pytest.mark.parametrize(
    "target",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "/settings/\r\nX: y", "/docs", "settings"),
        *("/settings/x/../sign-in/link?code=x", "/settings/tokens/../sign-in/link?code=x", "/settings/tokens/../.."),
        *("/settings/%73ign-in/link?code=x", "/settings/tokens/%2e%2e/sign-in", "/settings//evil.example"),
        *("/settings/sign-in/link?code=x", "/settings/static/pages.css", f"/settings/tokens?search={'x' * 3000}"),
    ],
    ids=lambda target: target[:40],
)
async def test_sign_in_leads_only_to_settings_pages(authority: Authority, target: str) -> None:
    page = await Browser(authority).post(SIGN_IN, [("admin_key", authority.admin_key), ("next", target)])

    assert (page.status, page.location) == (303, TOKENS)


async def test_link_on_another_site_opens_the_page_with_the_session(authority: Authority) -> None:
    """A browser leaves a strict cookie out of a request that a page of another site began."""
    answer = await authority(
        "GET", f"{TOKENS}?status=active", headers={"Sec-Fetch-Site": "cross-site", "Accept": "text/html"}
    )

    assert answer.status == 200
    assert b'http-equiv="refresh" content="0; url=/settings/tokens?status=active"' in answer.body


async def test_sign_in_and_sign_out_are_in_the_audit_log(authority: Authority) -> None:
    browser = await sign_in(authority, authority.admin_key)
    await browser.submit(TOKENS, "/settings/sign-out")

    records = (await authority.manage("GET", "/v1/audit?newest_first=true&limit=2")).json["items"]

    assert [(record["action"], record["actor"], record["after"]) for record in records] == [
        ("session.end", "admin_key", {}),
        ("session.start", "admin_key", {"by": "admin_key"}),
    ]


class TestForgedForms:
    """A page of another site has the browser of an administrator send a form."""

    async def test_form_of_another_origin_changes_nothing(self, authority: Authority) -> None:
        issued = await authority.issue(name="kept")
        browser = await sign_in(authority, authority.admin_key)
        fields = (await browser.get(f"{TOKENS}/{issued['id']}/revoke")).form().filled({"reason": "leaked"})

        for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            page = await browser.post(f"{TOKENS}/{issued['id']}/revoke", fields, **headers)
            assert page.status == 403
            assert "was not sent by a page of this service" in page.text

        assert (await authority.introspect(issued["token"])).json["active"]

    @pytest.mark.parametrize("token", [None, "", "of another session"])
    async def test_form_without_the_token_of_its_session_changes_nothing(
        self, authority: Authority, token: str | None
    ) -> None:
        issued = await authority.issue(name="kept")
        browser, other = [await sign_in(authority, authority.admin_key) for _ in range(2)]
        path = f"{TOKENS}/{issued['id']}/revoke"
        form = (await (other if token else browser).get(path)).form()
        sent = form.filled({"reason": "leaked"} if token else {"reason": "leaked", "form_token": token})

        page = await browser.post(path, sent)

        assert page.status == 403
        assert "belongs to another session" in page.text
        assert (await authority.introspect(issued["token"])).json["active"]

    async def test_sign_in_form_of_another_origin_is_refused(self, authority: Authority) -> None:
        page = await Browser(authority).post(
            SIGN_IN, [("admin_key", authority.admin_key)], origin="https://evil.example"
        )

        assert page.status == 403
        assert "Set-Cookie" not in page.headers

    async def test_pages_cannot_be_framed_and_run_no_foreign_code(self, authority: Authority) -> None:
        page = await (await sign_in(authority, authority.admin_key)).get(TOKENS)

        policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))

        assert policy["frame-ancestors"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "form-action")} == {"'self'"}
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["Referrer-Policy"] == "no-referrer"


class TestWithPlainHttp:
    """The service is reached without HTTPS, by a name that is not of this machine."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"token_authority_issuer": "http://tokens.example.com"}

    async def test_sign_in_is_refused(self, authority: Authority) -> None:
        shown = await Browser(authority).get(SIGN_IN)
        page = await Browser(authority).post(SIGN_IN, [("admin_key", authority.admin_key)])

        for refused in (shown, page):
            assert refused.status == 403
            assert "Signing in needs HTTPS." in refused.text
            assert not refused.actions


class TestWithHttps:
    """The public URL is of HTTPS."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"token_authority_issuer": "https://tokens.example.com"}

    async def test_cookie_is_secure_and_of_this_host_alone(self, authority: Authority) -> None:
        page = await Browser(authority).post(
            SIGN_IN, [("admin_key", authority.admin_key)], origin="https://tokens.example.com"
        )

        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-pollgate_session=")
        assert {"HttpOnly", "Path=/", "SameSite=Strict", "Secure"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


class TestGuessing:
    """Someone tries admin keys."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"wrong_credentials_per_minute": 3}

    async def test_too_many_wrong_keys_get_429_and_the_right_one_still_works(self, authority: Authority) -> None:
        browser = Browser(authority)

        statuses = [(await browser.submit(SIGN_IN, admin_key="pga_" + "x" * 38)).status for _ in range(5)]

        assert statuses == [401, 401, 401, 429, 429]
        assert (await browser.sign_in(authority.admin_key)).status == 303


class TestShortIdleTime:
    """Sessions end a minute after the last request."""

    @pytest.fixture
    def authority_settings(self) -> dict[str, Any]:
        return {"session_idle_minutes": 1}

    async def test_session_in_use_does_not_end_as_idle(self, authority: Authority, database: ClonedDatabase) -> None:
        browser = await sign_in(authority, authority.admin_key)

        for _ in range(3):
            await age_sessions(database, "last_seen_at", timedelta(seconds=50))
            assert await is_signed_in(browser)


class TestMalformedRequests:
    """Headers that no browser sends."""

    @pytest.mark.parametrize("origin", ["http://[", "null", "http://]", "\xff"])
    async def test_form_with_a_malformed_origin_is_refused(self, authority: Authority, origin: str) -> None:
        page = await Browser(authority).post(SIGN_IN, [("admin_key", authority.admin_key)], origin=origin)

        assert page.status == 403

    @pytest.mark.parametrize("cookie", ["\udcff", "a b", '"', "x" * 5000, "%00"], ids=lambda cookie: ascii(cookie[:5]))
    async def test_malformed_cookie_is_no_session(self, authority: Authority, cookie: str) -> None:
        head = f"GET {TOKENS} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nCookie: pollgate_session={cookie}\r\n"
        raw = f"{head}Connection: close\r\n\r\n".encode(errors="surrogateescape")

        assert (await send_raw(authority, raw)).status == 303

    async def test_link_under_a_malformed_host_is_refused(self, authority: Authority) -> None:
        raw = b"GET /settings/sign-in/link?code=x HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n"

        assert (await send_raw(authority, raw)).status == 403


async def test_sign_in_link_that_another_site_opens_is_refused(authority: Authority) -> None:
    """Otherwise an administrator would go on working in the session of the link's author."""
    url = (await authority.manage("POST", "/v1/sign-in-links")).json["url"]
    path = url[url.index("/settings") :]
    headers = {"Accept": "text/html", "Host": "127.0.0.1"}

    for site, status in (("cross-site", 403), ("same-site", 403), ("none", 303)):
        sent = {**headers, "Sec-Fetch-Site": site}
        answer = await authority("GET", path, headers=sent, allow_redirects=False)
        assert answer.status == status, site
        assert ("Set-Cookie" in answer.headers) == (status == 303)
