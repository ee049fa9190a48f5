"""The life of a token on the settings pages."""

import re

import pytest
from playwright.async_api import expect

from tests.pages.conftest import OpenTab
from tests.support.browser import PHONE, Tab, open_tab, run_browser
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


async def fill_in_token(tab: Tab, name: str = "Sprint bot") -> None:
    """Fill in the form of a token that may read and create polls in PLAT."""
    page = tab.page
    await page.get_by_label("Name", exact=True).fill(name)
    place = page.get_by_role("group", name="Place 1")
    await place.get_by_label("Workspace").fill("PLAT")
    await place.get_by_label("read", exact=True).check()
    await place.get_by_label("create", exact=True).check()


async def test_token_is_created_and_its_secret_is_shown_once(tab: Tab, authority: Authority) -> None:
    page = tab.page
    await tab.click("Create access token")
    await fill_in_token(tab)

    await tab.shows("Read and create polls in PLAT.", "polls:read,create:PLAT")
    await page.get_by_label("90 days").check()
    await tab.click("Create access token")
    await tab.shows("Token created", "Store the secret now.")
    secret = await page.get_by_role("textbox", name="Secret of Sprint bot").input_value()

    assert (await authority.introspect(secret)).json["scope"] == "polls:read,create:PLAT"
    assert re.fullmatch(r"/settings/tokens/tok_\w+", tab.path)
    await page.reload()
    await tab.shows("Sprint bot", "What it may do", "Read and create polls in PLAT.")
    assert not find_secrets(await page.content())
    await page.go_back()
    assert not find_secrets(await page.content())


async def test_back_button_does_not_show_a_secret_again(authority: Authority) -> None:
    """Chromium keeps pages in memory for the Back button; Playwright turns that off by default."""
    issued = await authority.issue(name="Report")
    async with (
        run_browser(ignore_default_args=["--disable-back-forward-cache"]) as browser,
        open_tab(browser, authority.base) as tab,
    ):
        await tab.sign_in(authority.admin_key, f"/settings/tokens/{issued['id']}/rotate")
        await tab.page.get_by_role("button", name="Rotate").click()
        await tab.shows("New secret")
        secret = await tab.page.get_by_role("textbox", name="Secret of Report").input_value()
        assert find_secrets(secret)

        await tab.open("/settings/sites")
        await tab.page.go_back()
        await tab.shows("What it may do")

        fields = await tab.page.locator("textarea").evaluate_all("areas => areas.map(area => area.value)")
        assert not find_secrets(await tab.page.content() + " ".join(fields))


async def test_command_on_the_page_with_the_secret_has_the_endpoint(tab: Tab, authority: Authority) -> None:
    await tab.open("/settings/tokens/new")
    await fill_in_token(tab)
    await tab.click("Create access token")
    await tab.shows("Token created")

    secret = await tab.page.get_by_role("textbox", name="Secret of Sprint bot").input_value()
    endpoint = await tab.page.get_by_role("textbox", name="Endpoint").input_value()
    command = await tab.page.get_by_role("textbox", name="Try it in a shell").input_value()

    assert endpoint.endswith(f"/x1/{await authority.get_endpoint()}")
    assert command == f"curl '{endpoint}?token={secret}&type=polls&workspace=PLAT&content=PLAT-1'"


async def test_copy_button_copies_the_secret(new_tab: OpenTab, authority: Authority) -> None:
    async with new_tab(permissions=["clipboard-read", "clipboard-write"]) as tab:
        await tab.sign_in(authority.admin_key, "/settings/tokens/new")
        await fill_in_token(tab)
        await tab.click("Create access token")
        secret = await tab.page.get_by_role("textbox", name="Secret of Sprint bot").input_value()

        await tab.page.get_by_role("button", name="Copy").first.click()
        await expect(tab.page.get_by_role("button", name="Copied")).to_be_visible()

        assert await tab.page.evaluate("navigator.clipboard.readText()") == secret


async def test_revocation_shows_its_receipt(tab: Tab, authority: Authority) -> None:
    issued = await authority.issue("polls:read:PLAT", name="Old report")

    await tab.open("/settings/tokens")
    await tab.click("Actions Old report")
    await tab.page.get_by_role("link", name="Revoke", exact=True).click()
    await tab.shows("Revoke Old report", "permanently")
    await tab.page.get_by_label("It has leaked").check()
    await tab.click("Revoke permanently")

    await tab.shows("Token revoked", "In force everywhere")
    assert not (await authority.introspect(issued["token"])).json["active"]
    await tab.page.reload()
    await tab.shows("Old report", "Revoked", "In force everywhere", "leaked")


async def test_life_of_a_token_without_scripts(new_tab: OpenTab, authority: Authority) -> None:
    async with new_tab(javascript=False, size=PHONE) as tab:
        page = tab.page
        await tab.sign_in(authority.admin_key)
        await tab.click("Create access token")
        await fill_in_token(tab)
        await tab.click("Add a place")
        place = page.get_by_role("group", name="Place 2")
        await place.get_by_label("Workspace").fill("OPS")
        await place.get_by_label("vote", exact=True).check()
        await tab.click("Say what this allows")
        await tab.shows("Read and create polls in PLAT.", "Vote in polls in OPS.")
        await page.get_by_role("button", name="Create access token").click()
        secret = await page.get_by_role("textbox", name="Secret of Sprint bot").input_value()
        await tab.click("I have stored it")
        await tab.shows("Vote in polls in OPS.")

        await tab.click("Rotate")
        await page.get_by_label("The old secret works").select_option("It ends at once")
        await page.get_by_role("button", name="Rotate").click()
        await tab.shows("New secret", "The old secret no longer works.", "In force everywhere")
        newer = await page.get_by_role("textbox", name="Secret of Sprint bot").input_value()
        assert [(await authority.introspect(each)).json["active"] for each in (secret, newer)] == [False, True]
        await tab.click("I have stored it")

        await tab.click("Disable")
        await page.get_by_role("button", name="Disable").click()
        await tab.shows("Token disabled", "In force everywhere")
        await tab.click("Open the token")
        await page.get_by_role("button", name="Enable").click()
        await tab.shows("The token works again.")
        assert (await authority.introspect(newer)).json["active"]


async def test_every_page_about_tokens_is_accessible(new_tab: OpenTab, authority: Authority) -> None:
    issued = await authority.issue("polls:*:*", "polls:read:PLAT/PLAT-1/macro-7", name="Everything", owner="ada")
    pages = ["", "/new", *(f"/{issued['id']}{page}" for page in ("", "/edit", "/rotate", "/disable", "/revoke"))]

    for size, scheme in ((PHONE, "dark"), ((1280, 900), "light")):
        async with new_tab(size=size, scheme=scheme) as tab:
            await tab.open("/settings/sign-in")
            await tab.require_accessible()
            await tab.sign_in(authority.admin_key)
            for page in pages:
                await tab.open(f"/settings/tokens{page}")
                await tab.require_accessible()


async def test_menu_of_a_row_offers_what_the_status_allows(tab: Tab, authority: Authority) -> None:
    issued = await authority.issue(name="Old report")
    await authority.revoke(issued["id"])

    await tab.open("/settings/tokens")
    await tab.click("Actions Old report")

    await expect(tab.page.locator("#actions").get_by_role("link")).to_have_text(["Open"])
