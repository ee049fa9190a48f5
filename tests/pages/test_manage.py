"""Managing polls in a browser, with and without scripts."""

import re
from typing import Final

import pytest
from playwright.async_api import expect

from tests.pages.conftest import OpenTab
from tests.support.browser import PHONE, WIDE, Tab
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

LIST: Final = "/manage/polls"
TWICE_AS_LARGE: Final = (WIDE[0] // 2, WIDE[1] // 2)
XSS: Final = "<img src=x onerror=alert(1)>"


async def sign_in(tab: Tab, token: str, path: str = "/manage") -> None:
    """Sign in to manage polls."""
    await tab.sign_in(token, path, "Access token")


async def fill_in_poll(tab: Tab, title: str = "Lunch?") -> None:
    """Fill in the form of a new poll with two options at PLAT-1."""
    page = tab.page
    for label, text in (
        *(("Workspace", "PLAT"), ("Content", "PLAT-1"), ("Title", title)),
        *(("Option 1", "Pizza"), ("Option 2", "Soup")),
    ):
        await page.get_by_label(label, exact=True).fill(text)


@pytest.mark.parametrize(("javascript", "size"), [(True, WIDE), (False, PHONE)], ids=["scripts", "no scripts, phone"])
async def test_poll_is_created_edited_closed_reopened_and_deleted(
    new_polls_tab: OpenTab, polls: Polls, javascript: bool, size: tuple[int, int]
) -> None:
    async with new_polls_tab(javascript=javascript, size=size) as tab:
        page = tab.page
        await sign_in(tab, polls.token)
        await tab.shows("There are no polls yet")
        await tab.click("Create the first one")
        await tab.click("Blank")
        await fill_in_poll(tab)
        await page.get_by_label("Comments are allowed").check()
        await page.get_by_role("button", name="Create poll").click()
        await tab.shows("The poll is created.", "You can write a comment.")
        (poll,) = (await polls.v1("GET", "/polls")).json["items"]
        assert tab.path == f"{LIST}/{poll['id']}?done=created"
        for participant in ("ada", "grace"):
            assert (await polls.vote(poll["id"], participant, "1")).status == 201

        await tab.click("Edit")
        await page.get_by_role("button", name="Remove option 1").click()
        await expect(page.get_by_label("Option 1", exact=True)).to_have_value("Soup")
        await page.get_by_label("Description").fill("At one")
        await page.get_by_role("button", name="Save", exact=True).last.click()
        await tab.shows("2 people have voted", "“Pizza”: 2 votes")
        await expect(page.get_by_label("Description")).to_have_value("At one")
        await page.get_by_label("Delete these options with their votes").check()
        await page.get_by_role("button", name="Save", exact=True).last.click()
        await tab.shows("Poll changed", "2 votes went with the removed options")

        await tab.click("Open the poll")
        await tab.click("Close")
        await tab.shows("No one can vote")
        await tab.click("Close the poll")
        await tab.shows("The poll is closed.")
        await tab.click("Reopen")
        await tab.click("Reopen the poll")
        await tab.shows("The poll is open again.")
        await tab.click("Delete")
        await tab.click("Delete permanently")
        await tab.shows("“Lunch?” was deleted with 0 ballots.")
        await tab.click("Sign out")
        await tab.shows("You are signed out.")
        assert (await polls.v1("GET", f"/polls/{poll['id']}")).status == 404


async def test_preview_follows_the_form_and_rows_change_in_place(new_polls_tab: OpenTab, polls: Polls) -> None:
    async with new_polls_tab() as tab:
        page = tab.page
        preview = page.locator("#poll-preview")
        await sign_in(tab, polls.token, f"{LIST}/new?template=blank")
        await expect(preview).to_contain_text("Enter a title.")
        await fill_in_poll(tab, XSS)
        await page.get_by_label("Several options can be chosen").check()
        await expect(preview).to_contain_text(XSS)
        await expect(preview).to_contain_text("Vote for One or More Options")
        await expect(preview).not_to_contain_text("Not complete yet")

        await page.get_by_role("button", name="Add options").click()
        await expect(page.get_by_label("Option 4", exact=True)).to_be_focused()
        await page.keyboard.type("Salad")
        await page.get_by_role("button", name="Move option 4 up").click()
        await expect(page.get_by_role("button", name="Move option 3 up")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Remove option 1").click()
        await expect(page.get_by_role("button", name="Remove option 1")).to_be_focused()
        await expect(preview.get_by_role("listitem")).to_have_text(["Salad", "Soup"])
        await tab.require_accessible()

        await page.get_by_label("Title", exact=True).press("Enter")
        await tab.shows("The poll is created.", XSS)
        (poll,) = (await polls.v1("GET", "/polls")).json["items"]
        assert [option["title"] for option in poll["options"]] == ["Salad", "Soup"]


async def test_enter_in_an_option_goes_to_the_next_one_and_creates_nothing(
    new_polls_tab: OpenTab, polls: Polls
) -> None:
    async with new_polls_tab() as tab:
        page, keyboard = tab.page, tab.page.keyboard
        await sign_in(tab, polls.token, f"{LIST}/new?template=blank")
        await fill_in_poll(tab)
        await page.get_by_label("Option 1", exact=True).press("Enter")
        await expect(page.get_by_label("Option 2", exact=True)).to_be_focused()
        for number in (3, 4):
            await keyboard.press("Enter")
            await expect(page.get_by_label(f"Option {number}", exact=True)).to_be_focused()
            await keyboard.type(f"Dish {number}")
        await keyboard.press("Enter")
        await keyboard.press("Enter")  # an empty row at the end is enough
        await expect(page.locator("#option-rows li")).to_have_count(5)
        assert (await polls.v1("GET", "/polls")).json["items"] == []

        await keyboard.press("Control+Enter")
        await tab.shows("The poll is created.")
        (poll,) = (await polls.v1("GET", "/polls")).json["items"]
        assert [option["title"] for option in poll["options"]] == ["Pizza", "Soup", "Dish 3", "Dish 4"]


async def test_end_is_shown_in_the_zone_of_the_reader_too(new_polls_tab: OpenTab, polls: Polls) -> None:
    poll = await polls.create_poll(settings={"endDate": "2099-07-31T17:00:00Z"})
    async with new_polls_tab(timezone_id="Europe/Berlin") as tab:
        page = tab.page
        local = page.locator("#end-local")
        await sign_in(tab, polls.token, f"{LIST}/{poll['id']}/edit")
        await expect(local).to_have_text("That is 31 Jul 2099, 19:00 where you are.")
        await tab.require_accessible()
        await page.get_by_label("Time in UTC").fill("")
        await expect(local).to_have_text("That is 1 Aug 2099, 01:59 where you are.")
        await page.get_by_label("Day", exact=True).fill("")
        await expect(local).to_be_hidden()
    async with new_polls_tab(timezone_id="UTC") as tab:
        await sign_in(tab, polls.token, f"{LIST}/{poll['id']}/edit")
        await expect(tab.page.locator("#end_day")).to_have_value("2099-07-31")
        await expect(tab.page.locator("#end-local")).to_be_hidden()


async def test_rows_of_the_list_are_low_and_their_cells_are_in_line(new_polls_tab: OpenTab, polls: Polls) -> None:
    place = {"workspace": "PLATFORM", "content": "PLATFORM-1234"}
    for title in ("Lunch?", "Which of these days suits the whole team best for a day out in the next month?"):
        await polls.at_place(**place).create_poll(title=title)
    first_line = """cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getClientRects()[0].bottom;
    }"""
    async with new_polls_tab() as tab:
        await sign_in(tab, polls.token)
        line = await tab.page.evaluate("parseFloat(getComputedStyle(document.body).lineHeight)")
        for row in await tab.page.locator("#polls tbody tr").all():
            for cell in await row.locator("td.where, td.when").all():
                assert await cell.evaluate("cell => cell.firstElementChild.offsetHeight") < 2 * line
            texts = row.locator("th a, td:not(.ways), .ways a")
            bottoms = [await text.evaluate(first_line) for text in await texts.all() if await text.text_content()]
            assert max(bottoms) - min(bottoms) < 2.5, bottoms
        await tab.require_accessible()


async def test_preview_says_that_the_session_is_over_and_keeps_what_was_typed(
    new_polls_tab: OpenTab, polls: Polls, authority: Authority
) -> None:
    issued = await authority.issue("polls:*:PLAT")
    async with new_polls_tab() as tab:
        page = tab.page
        await sign_in(tab, issued["token"], f"{LIST}/new?template=blank")
        await authority.revoke(issued["id"])
        await page.get_by_label("Title", exact=True).fill("Lunch?")
        await page.get_by_label("Title", exact=True).blur()

        await tab.shows("Your session is over, so nothing can be saved.")
        await expect(page.get_by_label("Title", exact=True)).to_have_value("Lunch?")
        await tab.open(LIST)
        await tab.shows("Sign in")


async def test_secret_is_neither_in_addresses_nor_in_the_page(new_polls_tab: OpenTab, polls: Polls) -> None:
    async with new_polls_tab() as tab:
        await sign_in(tab, polls.token, f"{LIST}?status=open")

        assert tab.path == f"{LIST}?status=open"
        assert polls.token not in await tab.page.content()
        await tab.page.go_back()
        assert polls.token not in await tab.page.content()


async def test_poll_is_created_by_keyboard_alone(new_polls_tab: OpenTab, polls: Polls) -> None:
    async with new_polls_tab() as tab:
        page, keyboard = tab.page, tab.page.keyboard
        await tab.open("/manage")
        await keyboard.type(polls.token)  # the field has the focus
        await keyboard.press("Enter")
        await tab.shows("There are no polls yet")
        await tab.open(f"{LIST}/new?template=yes-no")
        await page.get_by_label("Workspace").focus()
        for text in ("PLAT", "PLAT-1"):
            await keyboard.type(text)
            await keyboard.press("Tab")
        await keyboard.press("Enter")  # sends the form, and neither adds nor moves a row

        await tab.shows("The poll is created.", "Yes/No")
        assert re.fullmatch(rf"{LIST}/[0-9a-f-]+\?done=created", tab.path)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (WIDE, "dark"), (TWICE_AS_LARGE, "light")])
async def test_pages_are_accessible(new_polls_tab: OpenTab, polls: Polls, size: tuple[int, int], scheme: str) -> None:
    poll = await polls.create_poll(
        title="Which of these quite different days suits the whole team best?" + "x" * 80,
        settings={"resultsVisibility": "never"},
    )
    closed = await polls.create_poll(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})
    await polls.vote(poll["id"], "ada", "y")
    pages = (
        *(LIST, f"{LIST}?content=1", f"{LIST}?workspace=NONE", f"{LIST}/new", f"{LIST}/new?template=stars"),
        *(f"{LIST}/{poll['id']}{each}" for each in ("", "?done=changed", "/edit", "/close", "/delete")),
        *(f"{LIST}/{closed['id']}/reopen", f"{LIST}/unknown"),
    )

    async with new_polls_tab(size=size, scheme=scheme) as tab:
        page = tab.page
        await tab.open("/manage/sign-in?ended=token")
        await tab.require_accessible()
        await sign_in(tab, polls.token)
        for each in pages:
            await tab.open(each)
            await tab.require_accessible()

        await tab.open(f"{LIST}/{poll['id']}/edit")
        await page.get_by_label("Title", exact=True).fill("Another question?")
        await page.get_by_label("Everyone, at any time").check()
        await page.get_by_role("button", name="Save", exact=True).last.click()
        await tab.shows("Nothing was changed yet.")
        await tab.require_accessible()
        await page.get_by_role("button", name="Remove option 2").click()
        await page.get_by_label("Option 1", exact=True).fill("")
        await page.get_by_label("Everyone, after the end").check()
        await page.get_by_role("button", name="Save", exact=True).last.click()
        await tab.shows("Correct the marked fields.")
        await tab.require_accessible()
