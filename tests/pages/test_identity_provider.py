"""Signing in on the settings pages through an identity provider, in a real browser."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser

from tests.support.browser import Tab, open_tab
from tests.support.databases import ClonedDatabase
from tests.support.identity_provider import FakeIdentityProvider, run_identity_provider
from tests.support.ports import take_port
from tests.support.stack import HOST, Authority, run_token_authority

CLIENT_ID: Final = "pollgate"
CLIENT_SECRET: Final = "of the test"
GROUPS: Final = '{"pollgate-admins": "admin", "plat-team": {"role": "issuer", "scopes": ["polls:*:PLAT"]}}'
BUTTON: Final = "Sign in with the test company"


@pytest.fixture
async def provider() -> AsyncGenerator[FakeIdentityProvider, None]:
    """Return a running provider, which signs in the person that the test chooses."""
    async with run_identity_provider(CLIENT_ID, CLIENT_SECRET) as running:
        yield running


@pytest.fixture
async def connected(
    provider: FakeIdentityProvider, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> AsyncGenerator[Authority, None]:
    """Return a token authority that is connected with the provider."""
    port = take_port()
    settings: dict[str, Any] = {
        "token_authority_port": port,
        "token_authority_issuer": f"http://{HOST}:{port}",
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "the test company",
        "oidc_groups": GROUPS,
    }
    async with run_token_authority(database, redis_url, tmp_path, **settings) as running:
        yield running


@pytest.fixture
async def visitor(browser: Browser, connected: Authority, provider: FakeIdentityProvider) -> AsyncGenerator[Tab, None]:
    """Return a tab without a session, which may also open the pages of the provider."""
    async with open_tab(browser, connected.base, other_origins=(provider.issuer,)) as tab:
        yield tab


async def test_person_signs_in_with_the_role_of_a_group_and_lands_on_the_page_that_was_asked_for(
    visitor: Tab, connected: Authority
) -> None:
    await connected.issue(name="Report")

    await visitor.open("/settings/tokens?status=active")
    await visitor.click(BUTTON)

    await visitor.shows("ada (admin)", "Report", "Administrators")
    assert visitor.path == "/settings/tokens?status=active"
    records = (await connected.manage("GET", "/v1/audit?newest_first=true&limit=1")).json["items"]
    assert [(each["action"], each["actor"], each["actor_id"]) for each in records] == [
        ("session.start", "person", "u-1")
    ]
    assert records[0]["after"] == {"by": "identity_provider", "name": "ada", "group": "pollgate-admins"}


async def test_person_manages_tokens_within_the_limits_of_the_group(
    visitor: Tab, connected: Authority, provider: FakeIdentityProvider
) -> None:
    await connected.issue("polls:read:OPS", name="Foreign")
    provider.person["groups"] = ["plat-team"]

    await visitor.open("/")
    await visitor.click(BUTTON)
    await visitor.shows("ada (issuer)", "polls:*:PLAT")
    await visitor.does_not_show("Foreign", "Administrators")
    await visitor.open("/settings/tokens/new")
    page = visitor.page
    await page.get_by_label("Name", exact=True).fill("Mine")
    await page.get_by_label("Workspace").fill("PLAT")
    await page.get_by_label("read", exact=True).first.check()
    await visitor.click("Create access token")

    await visitor.shows("Token created")
    items = (await connected.manage("GET", "/v1/tokens?search=Mine")).json["items"]
    assert [each["created_by"] for each in items] == ["person:u-1"]


async def test_person_without_a_role_is_refused_with_a_reason(visitor: Tab, provider: FakeIdentityProvider) -> None:
    provider.person["groups"] = ["cooks"]

    await visitor.open("/")
    await visitor.click(BUTTON)

    await visitor.shows("None of your groups at the identity provider has a role here.")
    await visitor.does_not_show("Sign out", "cooks")


async def test_admin_key_signs_in_while_the_provider_is_away(
    visitor: Tab, connected: Authority, provider: FakeIdentityProvider
) -> None:
    provider.is_available = False

    await visitor.open("/")
    await visitor.click(BUTTON)
    await visitor.shows("The identity provider does not answer")
    await visitor.page.get_by_label("Admin key").fill(connected.admin_key)
    await visitor.click("Sign in")

    await visitor.shows("First admin key (admin)")


async def test_sign_in_that_began_in_another_browser_is_refused(
    browser: Browser, visitor: Tab, connected: Authority
) -> None:
    """An attacker begins to sign in, and has the victim open the address that the provider leads back to."""
    answer = await connected("GET", "/settings/sign-in/provider", allow_redirects=False)
    led_back = await connected.session.get(answer.headers["Location"], allow_redirects=False)

    await visitor.page.goto(led_back.headers["Location"])

    await visitor.shows("the sign-in did not begin in this browser")
    await visitor.does_not_show("Sign out")


async def test_session_of_a_person_ends_when_the_provider_is_switched_off(
    visitor: Tab, connected: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> None:
    await visitor.open("/")
    await visitor.click(BUTTON)
    await visitor.shows("ada (admin)")
    (cookie,) = [each for each in await visitor.page.context.cookies() if each["name"] == "pollgate_session"]
    sent = {"Cookie": f"pollgate_session={cookie['value']}", "Accept": "text/html"}

    async with run_token_authority(database, redis_url, tmp_path, oidc_groups=GROUPS) as without_provider:
        answers = [
            await authority("GET", "/settings/tokens", headers=sent, allow_redirects=False)
            for authority in (connected, without_provider)
        ]

    assert [answer.status for answer in answers] == [200, 303]
