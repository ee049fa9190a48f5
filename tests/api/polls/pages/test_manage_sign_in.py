"""Signing in to manage polls with an access token, and what ends a session."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.page_client import MANAGE, Browser, manage, sign_in
from tests.support.postgres import fetch
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

POLLS = "/manage/polls"
SIGN_IN = "/manage/sign-in"


async def is_signed_in(browser: Browser) -> bool:
    """Return whether the browser sees the list of polls."""
    return (await browser.get(POLLS)).status == 200


async def age_sessions(database: ClonedDatabase, column: str, age: timedelta) -> None:
    """Move a time of every session into the past."""
    await fetch(database.admin_url, f"UPDATE polls.session SET {column} = now() - $1::interval", age)


async def count_sessions(database: ClonedDatabase) -> int:
    """Return the number of sessions that are stored."""
    return len(await fetch(database.admin_url, "SELECT FROM polls.session"))


async def test_page_without_session_leads_to_sign_in_and_back(polls: Polls) -> None:
    browser = Browser(polls, at=MANAGE)

    asked = await browser.get(f"{POLLS}?status=open")
    form = await browser.follow(asked)
    signed_in = await browser.send(form, token=f" {polls.token}\n")

    assert asked.location == f"{SIGN_IN}?next=/manage/polls%3Fstatus%3Dopen"
    assert (signed_in.status, signed_in.location) == (303, f"{POLLS}?status=open")
    assert await is_signed_in(browser)


async def test_root_leads_to_list(polls: Polls) -> None:
    browser = Browser(polls, at=MANAGE)

    assert [(await browser.get(path)).location for path in ("/manage", "/manage/")] == [POLLS, POLLS]


async def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(polls: Polls) -> None:
    page = await Browser(polls, at=MANAGE).sign_in(polls.token)

    cookie = page.headers["Set-Cookie"]

    assert cookie.startswith("pollgate_manage=")
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))


async def test_database_has_neither_the_token_nor_the_secret_of_the_cookie(
    polls: Polls, database: ClonedDatabase
) -> None:
    page = await Browser(polls, at=MANAGE).sign_in(polls.token)
    secret = page.headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    (row,) = await fetch(database.admin_url, "SELECT s::text AS text, nonce, ciphertext, digest FROM polls.session s")

    stored = row["text"].encode() + row["nonce"] + row["ciphertext"] + row["digest"]
    for hidden in (polls.token, polls.token[4:], secret):
        assert hidden.encode() not in stored
        assert hidden.encode().hex().encode() not in stored
    tables = await fetch(
        database.admin_url,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'polls' AND table_type = 'BASE TABLE'",
    )
    for table in tables:
        rows = await fetch(database.admin_url, f"SELECT t::text AS text FROM polls.{table['table_name']} t")
        assert not [each for each in rows if polls.token in each["text"] or secret in each["text"]]


async def test_sign_out_ends_the_session_also_for_a_copy_of_the_cookie(polls: Polls, database: ClonedDatabase) -> None:
    browser = await sign_in(polls, polls.token, at=MANAGE)
    thief = browser.copy()
    page = await browser.get(POLLS)

    signed_out = await browser.follow(await browser.send(page, "/manage/sign-out"))

    assert "You are signed out." in signed_out.text
    assert [await is_signed_in(each) for each in (browser, thief)] == [False, False]
    assert await count_sessions(database) == 0


async def test_second_sign_in_ends_the_first_session(polls: Polls, database: ClonedDatabase) -> None:
    browser = await sign_in(polls, polls.token, at=MANAGE)
    thief = browser.copy()

    await browser.post(SIGN_IN, [("token", polls.token)])

    assert [await is_signed_in(each) for each in (browser, thief)] == [True, False]
    assert await count_sessions(database) == 1


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        ("", 422, "Enter an access token."),
        ("hello", 401, "This is not an access token: send pgt_ and 38 letters and digits."),
        ("pgt_abcdef123", 401, "The access token is mistyped or cut off"),
        (mint("pga"), 401, "This is an admin key, not an access token"),
        (mint("pgt"), 401, "This access token does not work: it is unknown, disabled, expired or revoked."),
    ],
    ids=["empty", "other text", "cut off", "admin key", "unknown"],
)
async def test_wrong_token_is_refused_beside_the_field(polls: Polls, token: str, status: int, message: str) -> None:
    page = await Browser(polls, at=MANAGE).submit(SIGN_IN, token=token)

    assert page.status == status
    assert message in page.text
    assert 'aria-invalid="true"' in page.html
    assert "Set-Cookie" not in page.headers
    assert not token or token not in page.html


async def test_session_ends_when_its_token_is_revoked(
    polls: Polls, authority: Authority, database: ClonedDatabase
) -> None:
    issued = await authority.issue("polls:read:PLAT")
    browser = await sign_in(polls, issued["token"], at=MANAGE)
    assert await is_signed_in(browser)

    await authority.revoke(issued["id"])
    page = await browser.get(POLLS)
    shown = await browser.follow(page)

    assert (page.status, page.location) == (303, f"{SIGN_IN}?ended=token&next=/manage/polls")
    assert "Your token no longer works, so your session is over and nothing was changed." in shown.text
    assert await count_sessions(database) == 0


async def test_form_of_a_session_whose_token_was_revoked_changes_nothing(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    issued = await authority.issue("polls:*:PLAT")
    browser = await sign_in(polls, issued["token"], at=MANAGE)
    form = await browser.get(f"{POLLS}/{poll['id']}/delete")
    await authority.revoke(issued["id"])

    page = await browser.send(form)

    assert page.location == f"{SIGN_IN}?ended=token&next={POLLS}/{poll['id']}/delete"
    assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 200


async def test_pages_offer_less_when_the_scope_of_the_token_is_narrowed(polls: Polls, authority: Authority) -> None:
    poll = await polls.create_poll()
    issued = await authority.issue("polls:*:PLAT")
    browser = await sign_in(polls, issued["token"], at=MANAGE)
    path = f"{POLLS}/{poll['id']}"
    before = await browser.get(path)

    narrowed = await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:PLAT"]})
    after = await browser.get(path)

    assert narrowed.status == 200
    assert {f"{path}/{page}" for page in ("edit", "close", "delete", "links", "results")} <= set(before.links)
    assert {link for link in after.links if link.startswith(f"{path}/")} == {f"{path}/results"}
    assert "/manage/polls/new" not in after.links
    assert (await browser.get(f"{path}/edit")).status == 403


async def test_session_without_a_request_for_half_an_hour_is_over(polls: Polls, database: ClonedDatabase) -> None:
    browser = await sign_in(polls, polls.token, at=MANAGE)

    await age_sessions(database, "last_seen_at", timedelta(minutes=29))
    assert await is_signed_in(browser)
    await age_sessions(database, "last_seen_at", timedelta(minutes=31))

    assert not await is_signed_in(browser)


async def test_session_in_use_is_over_after_twelve_hours(polls: Polls, database: ClonedDatabase) -> None:
    browser = await sign_in(polls, polls.token, at=MANAGE)

    await age_sessions(database, "created_at", timedelta(hours=11, minutes=59))
    assert await is_signed_in(browser)
    await age_sessions(database, "created_at", timedelta(hours=12, minutes=1))

    assert not await is_signed_in(browser)


async def test_form_of_a_session_that_is_over_changes_nothing_and_says_so(
    polls: Polls, database: ClonedDatabase
) -> None:
    poll = await polls.create_poll()
    browser = await sign_in(polls, polls.token, at=MANAGE)
    path = f"{POLLS}/{poll['id']}/delete"
    form = await browser.get(path)
    await age_sessions(database, "last_seen_at", timedelta(hours=1))

    page = await browser.send(form)

    assert (page.status, page.location) == (303, f"{SIGN_IN}?ended=true&next={path}")
    assert "Your session is over, so nothing was changed." in (await browser.follow(page)).text
    assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 200


@pytest.mark.parametrize(
    "target",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "/manage/polls/\r\nX: y", "/docs", "manage"),
        *("/manage/polls/../sign-in", "/manage/polls/%2e%2e/sign-in", "/manage/sign-out", "/manage//evil.example"),
    ],
)
async def test_sign_in_leads_only_to_pages_to_manage_polls(polls: Polls, target: str) -> None:
    page = await Browser(polls, at=MANAGE).post(SIGN_IN, [("token", polls.token), ("next", target)])

    assert (page.status, page.location) == (303, POLLS)


async def test_token_in_the_address_of_a_page_is_not_passed_on(polls: Polls) -> None:
    page = await Browser(polls, at=MANAGE).get(POLLS, token=polls.token)

    assert (page.status, page.location) == (303, SIGN_IN)


async def test_link_on_another_site_opens_the_page_with_the_session(polls: Polls) -> None:
    """A browser leaves a strict cookie out of a request that a page of another site began."""
    answer = await polls("GET", f"{POLLS}?status=open", headers={"Sec-Fetch-Site": "cross-site", "Accept": "text/html"})

    assert answer.status == 200
    assert b'http-equiv="refresh" content="0; url=/manage/polls?status=open"' in answer.body


async def test_rules_of_the_token_apply_to_pages(polls: Polls, authority: Authority) -> None:
    limited = await authority.issue("polls:read:PLAT", rate_limit=2)
    elsewhere = await authority.issue("polls:read:PLAT", allowed_ips=["203.0.113.0/24"])
    browser = await sign_in(polls, limited["token"], at=MANAGE)

    statuses = [(await browser.get(POLLS)).status for _ in range(2)]
    refused = await Browser(polls, at=MANAGE).submit(SIGN_IN, token=elsewhere["token"])

    assert statuses == [200, 429]
    assert (refused.status, "This access token does not work from 127.0.0.1." in refused.text) == (403, True)
    assert "Set-Cookie" not in refused.headers


async def test_sign_out_works_while_the_token_is_over_its_rate_limit(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority, "polls:read:PLAT", rate_limit=2)
    page = await browser.get(POLLS)
    assert (await browser.get(POLLS)).status == 429

    assert (await browser.send(page, "/manage/sign-out")).location == f"{SIGN_IN}?out=true"


class TestForgedForms:
    """A page of another site has the browser of a token holder send a form."""

    async def test_forged_forms_change_nothing(self, polls: Polls) -> None:
        poll = await polls.create_poll()
        browser = await sign_in(polls, polls.token, at=MANAGE)

        for page in ("edit", "close", "delete"):
            assert await browser.forge(f"{POLLS}/{poll['id']}/{page}") == [403] * 5
        assert await browser.forge("/manage/polls/new?template=stars") == [403] * 5
        assert await browser.forge(POLLS, "/manage/sign-out") == [403] * 5

        listed = (await polls.v1("GET", "/polls")).json["items"]
        assert [(each["id"], each["etag"], each["status"]) for each in listed] == [(poll["id"], poll["etag"], "open")]

    async def test_form_of_another_session_changes_nothing(self, polls: Polls) -> None:
        poll = await polls.create_poll()
        browser, other = [await sign_in(polls, polls.token, at=MANAGE) for _ in range(2)]
        path = f"{POLLS}/{poll['id']}/delete"

        page = await browser.post(path, (await other.get(path)).form().filled({}))

        assert (page.status, "belongs to another session" in page.text) == (403, True)
        assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 200

    async def test_sign_in_form_of_another_origin_is_refused(self, polls: Polls) -> None:
        page = await Browser(polls, at=MANAGE).post(SIGN_IN, [("token", polls.token)], origin="https://evil.example")

        assert page.status == 403
        assert "Set-Cookie" not in page.headers


class TestWithPlainHttp:
    """The service is reached without HTTPS, by a name that is not of this machine."""

    @pytest.fixture
    def polls_settings(self) -> dict[str, Any]:
        return {"resource_url": "http://polls.example.com"}

    async def test_sign_in_is_refused(self, polls: Polls) -> None:
        browser = Browser(polls, at=MANAGE)

        for refused in (await browser.get(SIGN_IN), await browser.post(SIGN_IN, [("token", polls.token)])):
            assert refused.status == 403
            assert "Signing in needs HTTPS." in refused.text
            assert not refused.actions


class TestWithHttps:
    """The public URL is of HTTPS."""

    @pytest.fixture
    def polls_settings(self) -> dict[str, Any]:
        return {"resource_url": "https://polls.example.com"}

    async def test_cookie_is_secure_and_of_this_host_alone(self, polls: Polls) -> None:
        page = await Browser(polls, at=MANAGE).post(
            SIGN_IN, [("token", polls.token)], origin="https://polls.example.com"
        )

        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-pollgate_manage=")
        assert {"HttpOnly", "Path=/", "SameSite=Strict", "Secure"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


class TestWithOtherSettings:
    """Sessions end sooner, and guessing is limited more strictly."""

    @pytest.fixture
    def polls_settings(self) -> dict[str, Any]:
        return {"session_idle_minutes": 1, "session_max_hours": 1, "unknown_tokens_per_minute": 3}

    async def test_sessions_end_as_set(self, polls: Polls, database: ClonedDatabase) -> None:
        for column, age in (("last_seen_at", timedelta(minutes=2)), ("created_at", timedelta(minutes=61))):
            browser = await sign_in(polls, polls.token, at=MANAGE)
            await age_sessions(database, column, age)
            assert not await is_signed_in(browser)

    async def test_session_in_use_does_not_end_as_idle(self, polls: Polls, database: ClonedDatabase) -> None:
        browser = await sign_in(polls, polls.token, at=MANAGE)

        for _ in range(3):
            await age_sessions(database, "last_seen_at", timedelta(seconds=50))
            assert await is_signed_in(browser)

    async def test_too_many_wrong_tokens_get_429_and_the_right_one_still_works(self, polls: Polls) -> None:
        browser = Browser(polls, at=MANAGE)

        pages = [await browser.submit(SIGN_IN, token=mint("pgt")) for _ in range(5)]

        assert [page.status for page in pages] == [401, 401, 401, 429, 429]
        assert "Retry-After" in pages[-1].headers
        assert (await browser.sign_in(polls.token)).status == 303
