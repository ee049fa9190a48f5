"""An administrator's day on the settings pages: by keyboard alone, at the size of a phone, and without scripts.

With `POLLGATE_SCREENSHOTS=docs/images`, it takes the pictures of the documents.
"""

from datetime import timedelta
from typing import Final

import pytest
from playwright.async_api import expect

from tests.pages.conftest import OpenTab
from tests.support.browser import PHONE, WIDE, Tab
from tests.support.databases import ClonedDatabase
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls
from tests.support.token_fixtures import backdate

pytestmark = [pytest.mark.shared_services, pytest.mark.slow]

TWICE_AS_LARGE: Final = (WIDE[0] // 2, WIDE[1] // 2)
MOST_STEPS: Final = 150
TOKENS: Final = (
    ("Build status", ["polls:read:OPS"], "ops", "365d", 1),
    ("Confluence export", ["polls:read,results:SPACE", "polls:read,results:HR"], "grace", "90d", 3),
    ("Deploy window vote", ["polls:*:OPS/OPS-12"], "ops", "60d", 2),
    ("Everything, from the migration", ["polls:*:*"], "ada", "never", 120),
    ("Lunch bot", ["polls:create,vote:PLAT/PLAT-7"], "linus", "30d", 0),
    ("Retro summary", ["polls:results:PLAT"], "grace", "5d", 1),
    ("Sprint retrospective bot", ["polls:read,create:PLAT"], "ada", "90d", 0),
    ("Survey of the HR team", ["polls:read,create,results:HR/HR-1/macro-7"], "hr-team", "365d", 20),
)


async def create_tokens(authority: Authority, database: ClonedDatabase) -> None:
    """Create tokens with a past, one of them disabled and one revoked. Name the one of the polls client."""
    others = (await authority.manage("GET", "/v1/tokens")).json["items"]
    for other in others:
        await authority.manage("PATCH", f"/v1/tokens/{other['id']}", {"name": "Team Voice client", "owner": "ops"})
    for name, scopes, owner, expires_in, days in TOKENS:
        issued = await authority.issue(*scopes, name=name, owner=owner, expires_in=expires_in)
        await backdate(
            database, issued["id"], created=timedelta(days=days + 40), used=timedelta(days=days, hours=2, minutes=5)
        )
    paused = await authority.issue("polls:read:PLAT", name="Old dashboard", owner="linus", expires_in="180d")
    await authority.manage("POST", f"/v1/tokens/{paused['id']}/disable", {"reason": "looked unused"})
    ended = await authority.issue("polls:*:PLAT", name="Contractor", owner="eve", expires_in="180d")
    await authority.revoke(ended["id"])


class Keyboard:
    """Uses a page by its keys alone."""

    def __init__(self, tab: Tab) -> None:
        self._page = tab.page

    async def go_to(self, name: str) -> None:
        """Press Tab until the focus is on the element with this accessible name."""
        for _ in range(MOST_STEPS):
            await self._page.keyboard.press("Tab")
            if await self._page.evaluate(_NAME_OF_FOCUS) == name:
                outline = await self._page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"the focus on {name} cannot be seen"
                return
        raise AssertionError(f"the key Tab does not lead to {name!r} on {self._page.url}")

    async def type(self, name: str, text: str) -> None:
        """Enter a text in a field."""
        await self.go_to(name)
        await self._page.keyboard.type(text)

    async def press(self, name: str, key: str = "Enter") -> None:
        """Press a key on an element: Enter for links and buttons, Space for boxes."""
        await self.go_to(name)
        await self._page.keyboard.press(key)


_NAME_OF_FOCUS: Final = """() => {
    const element = document.activeElement;
    const ids = element.getAttribute("aria-labelledby")?.split(" ");
    const label = ids?.map((id) => document.getElementById(id).innerText.trim()).join(" ")
        ?? element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.innerText ?? "";
    return label.replace(/ ?optional$/, "").trim();
}"""


async def create_by_keyboard(tab: Tab) -> str:
    """Create a token, and return its secret."""
    page, keys = tab.page, Keyboard(tab)
    await keys.press("Create access token")
    await tab.shows("What it may do, and where")
    await keys.type("Name", "Release poll bot")
    await keys.type("Owner", "ada")
    await keys.type("Workspace", "PLAT")
    await keys.press("read", "Space")
    await keys.press("create", "Space")
    await tab.shows("Read and create polls in PLAT.")
    await page.keyboard.press("Enter")  # sends the form, and does not add a place
    await tab.shows("Token created", "Store the secret now.")
    await tab.screenshot("token-created")
    secret = await page.get_by_role("textbox", name="Secret of Release poll bot").input_value()
    await keys.press("I have stored it")
    await tab.shows("Requests")
    return secret


async def change_by_keyboard(tab: Tab) -> str:
    """Rotate, disable and enable the token of the page. Return its new secret."""
    page, keys = tab.page, Keyboard(tab)
    await keys.press("Rotate")
    await tab.shows("Rotate Release poll bot")
    await keys.press("Rotate")
    await tab.shows("New secret", "The old secret works until")
    secret = await page.get_by_role("textbox", name="Secret of Release poll bot").input_value()
    await keys.press("I have stored it")
    await tab.shows("Requests")

    await keys.press("Disable")
    await tab.shows("Disable Release poll bot")
    await keys.type("Reason", "testing")
    await keys.press("Disable")
    await tab.shows("Token disabled", "In force everywhere after", "1 replica.")
    await keys.press("Open the token")
    await tab.shows("Requests")
    await keys.press("Enable")
    await tab.shows("The token works again.")
    return secret


async def revoke_by_keyboard(tab: Tab) -> None:
    """Revoke the token by the menu of its row."""
    page, keys = tab.page, Keyboard(tab)
    await keys.press("Access tokens")
    await tab.shows("Avoid tokens for all content")
    await keys.press("Actions Release poll bot")
    await expect(page.get_by_role("link", name="Open", exact=True)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("link", name="Actions Release poll bot")).to_be_focused()
    await page.keyboard.press("Enter")
    for _ in range(4):
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await tab.shows("Revoke Release poll bot")
    await keys.press("It is no longer needed", "Space")
    await keys.press("Revoke permanently")
    await tab.shows("Token revoked", "In force everywhere after", "1 replica.")
    await tab.screenshot("receipt")


async def test_day_by_keyboard(new_tab: OpenTab, authority: Authority, database: ClonedDatabase, polls: Polls) -> None:
    await create_tokens(authority, database)
    async with new_tab() as tab:
        page, keys = tab.page, Keyboard(tab)
        await tab.open("/")
        await page.keyboard.type(authority.admin_key)  # the field has the focus
        await page.keyboard.press("Enter")
        await tab.shows("Sprint retrospective bot", "All 11")
        await tab.screenshot("access-tokens")

        polls.token = await create_by_keyboard(tab)
        assert (await polls.call("GET")).status == 200
        polls.token = await change_by_keyboard(tab)
        assert (await polls.call("GET")).status == 200
        await revoke_by_keyboard(tab)
        assert (await polls.call("GET")).status == 403

        await keys.press("Review")
        await tab.shows("Everything, from the migration", "It never expires")
        await keys.press("Keep Everything, from the migration for 90 days")
        await tab.shows("the review leaves it out for 90 days")
        await keys.press("Finish this review")
        await tab.shows("The review is recorded as complete.")
        await keys.press("Audit log")
        await tab.shows("newest first")
        await keys.press("Verify chain")
        await tab.shows("The chain is intact")
        await keys.press("Sign out")
        await tab.shows("You are signed out.")


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
async def test_day_on_a_phone(
    new_tab: OpenTab, authority: Authority, database: ClonedDatabase, polls: Polls, javascript: bool
) -> None:
    await create_tokens(authority, database)
    async with new_tab(size=PHONE, scheme="dark", javascript=javascript) as tab:
        page = tab.page
        await tab.sign_in(authority.admin_key)
        await page.get_by_label("Search", exact=True).fill("bot")
        await tab.click("Find")
        await tab.shows("Lunch bot", "Sprint retrospective bot")
        await tab.does_not_show("Build status")

        for name in ("Lunch bot", "Sprint retrospective bot"):
            menu = await page.get_by_role("link", name=f"Actions {name}").bounding_box()
            assert menu is not None
            assert menu["x"] + menu["width"] <= PHONE[0]
            await page.get_by_role("checkbox", name=f"Select {name}").check()
        await tab.click("Disable selected")
        await tab.shows("Disable 2 tokens", "Lunch bot")
        await tab.click("Disable 2 tokens")
        await tab.shows("2 tokens disabled.", "In force everywhere after")

        await tab.click("Administrators")
        await tab.click("Create administrator")
        await page.get_by_label("Name", exact=True).fill("Grace")
        await page.get_by_label("Auditor").check()
        await page.get_by_role("button", name="Create administrator").click()
        await tab.shows("It is not shown again")
        assert len(find_secrets(await page.content())) == 1
        await page.reload()
        await tab.shows("Grace")
        if javascript:
            assert not find_secrets(await page.content())

        await tab.click("Services")
        await tab.click("Create service")
        await page.get_by_label("Client id").fill("reports")
        await page.get_by_role("button", name="Create service").click()
        await tab.shows("It is not shown again")

        await tab.click("Sites")
        await tab.shows(f"/x1/{await authority.get_endpoint()}")
        await tab.click("Audit log")
        await tab.shows("service.make", "admin_key.make", "token.disable")
        await page.get_by_role("button", name="Sign out").click()
        await tab.shows("You are signed out.")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (WIDE, "dark"), (TWICE_AS_LARGE, "light")])
async def test_every_other_page_is_accessible(
    new_tab: OpenTab, authority: Authority, size: tuple[int, int], scheme: str
) -> None:
    keys = (await authority.manage("GET", "/v1/admin-keys")).json["items"]
    administrator = f"/settings/administrators/{keys[0]['id']}"
    pages = (
        *("/settings/review", "/settings/sites", "/settings/audit", "/settings/audit/1", "/settings/services"),
        *(f"/settings/services/{page}" for page in ("_new", "polls", "polls/edit", "polls/rotate", "polls/disable")),
        *("/settings/administrators", "/settings/administrators/new", administrator),
        *(f"{administrator}/{page}" for page in ("edit", "rotate", "revoke")),
        "/settings/tokens/tok_unknown",
    )
    await authority.issue("polls:*:*", name="Everything")

    async with new_tab(size=size, scheme=scheme) as tab:
        await tab.sign_in(authority.admin_key)
        for page in pages:
            await tab.open(page)
            await tab.require_accessible()
