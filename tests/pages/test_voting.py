"""People vote by a link, in a browser."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, Frame, expect

from tests.support.browser import PHONE, Tab, open_tab
from tests.support.databases import ClonedDatabase
from tests.support.ports import take_port
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls, run_polls_service
from tests.support.tls_proxy import run_tls_proxy
from tests.support.voter import create_link, path_of

pytestmark = pytest.mark.shared_services

ELSEWHERE = "https://wiki.example"
OPTIONS = [{"id": day[:3].lower(), "title": day} for day in ("Monday", "Tuesday", "Wednesday")]


async def create_poll(polls: Polls, **settings: Any) -> Any:
    """Create a poll about three days, and return it."""
    return await polls.create_poll(
        title="Which day suits you?", description="We meet for an hour.", options=OPTIONS, settings=settings
    )


async def vote(tab: Tab, link: Any, day: str) -> None:
    """Open a link, and vote for a day."""
    await tab.open(path_of(link))
    await tab.page.get_by_label(day).check()
    await tab.click("Vote")
    await tab.shows("Voted!")


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
async def test_vote_leaves_no_secret_in_address_or_history(browser: Browser, polls: Polls, javascript: bool) -> None:
    poll = await create_poll(polls)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base, javascript=javascript) as tab:
        await vote(tab, link, "Tuesday")
        await tab.click("Show results")

        await tab.shows("Total: 1 participant, 1 vote", "100.0%")
        assert tab.path == f"/p/{link['id']}?results=table"
        await tab.page.go_back()
        await tab.page.go_back()
        await tab.page.go_back()
        assert "pgl_" not in tab.page.url
        assert not find_secrets(await tab.page.content())


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
async def test_back_button_does_not_show_the_choice_again(browser: Browser, polls: Polls, javascript: bool) -> None:
    """Browsers keep what was typed into a form, and fill it in again on the way back."""
    poll = await create_poll(polls, allowRevote=True, allowComment=True)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base, javascript=javascript) as tab:
        await tab.open(path_of(link))
        await tab.page.get_by_label("Comment").fill("I like it")
        await tab.page.get_by_label("Tuesday").check()
        await tab.click("Vote")
        await tab.shows("Voted!")
        await tab.page.go_back()

        await expect(tab.page.get_by_label("Tuesday")).not_to_be_checked()
        await expect(tab.page.get_by_label("Comment")).to_have_value("")


async def test_bars_move_while_others_vote(browser: Browser, polls: Polls) -> None:
    poll = await create_poll(polls)
    link = await create_link(polls, poll["id"])
    async with (
        open_tab(browser, polls.base) as watching,
        open_tab(browser, polls.base, size=PHONE) as phone,
        open_tab(browser, polls.base, javascript=False) as plain,
    ):
        await watching.open(path_of(link))
        await watching.click("Show results")
        await watching.click("Bar")
        await watching.shows("Total: 0 participants, 0 votes")

        await vote(phone, link, "Monday")
        await watching.shows("Live. Total: 1 participant, 1 vote")
        await vote(plain, link, "Tuesday")
        await watching.shows("Live. Total: 2 participants, 2 votes")

        bars = watching.page.locator(".bar rect")
        assert [await bar.get_attribute("width") for bar in await bars.all()] == ["50.0", "50.0", "0"]
        await watching.click("Pie")
        await expect(watching.page.locator(".pie path")).to_have_count(2)


async def test_open_page_says_when_its_link_is_revoked(browser: Browser, polls: Polls) -> None:
    poll = await create_poll(polls)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base) as tab:
        await tab.open(path_of(link))
        await tab.click("Show results")
        await tab.shows("Live.")

        await polls.v1("DELETE", f"/polls/{poll['id']}/links/{link['id']}")

        await tab.shows("This voting link does not work any longer.")
        await tab.does_not_show("Total:")
        await tab.click("Reload the page")
        await tab.shows("This voting link does not work")


async def test_open_page_says_when_poll_is_closed(browser: Browser, polls: Polls) -> None:
    poll = await create_poll(polls)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base) as tab:
        await vote(tab, link, "Monday")
        await tab.click("Show results")
        await tab.shows("Live.")

        closing = {"settings": {"endDate": "2026-01-01", "closePollOnEndDate": True}}
        await polls.v1("PATCH", f"/polls/{poll['id']}", closing)

        await tab.shows("This poll was edited or closed in the meantime.")
        await tab.click("Reload the page")
        await tab.shows("Final results", "This poll is closed.")


async def test_vote_by_keyboard_alone(browser: Browser, polls: Polls) -> None:
    poll = await create_poll(polls, allowRevote=True)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base) as tab:
        await tab.open(path_of(link))
        keyboard = tab.page.keyboard
        for key in ("Tab", "Tab", "Tab", "ArrowDown", "Tab", "Enter"):
            await keyboard.press(key)

        await tab.shows("Voted!", "Change my vote")
    assert [option["votes"] for option in (await polls.get_results(poll["id"]))["options"]] == [0, 1, 0]


async def test_names_and_comment_are_asked_with_errors_next_to_their_fields(browser: Browser, polls: Polls) -> None:
    poll = await create_poll(polls, saveParticipantNames=True, allowComment=True)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base) as tab:
        page = tab.page
        await tab.open(path_of(link))
        await page.get_by_label("Monday").check()
        await page.get_by_label("Your name").fill("   ")
        await page.get_by_label("Comment").fill("After lunch")
        await tab.click("Vote")

        await tab.shows("This poll keeps the names of its participants; give yours.")
        await expect(page.get_by_label("Your name")).to_be_focused()
        await expect(page.get_by_label("Monday")).to_be_checked()
        await expect(page.get_by_label("Comment")).to_have_value("After lunch")
        await page.get_by_label("Your name").fill("Ada Lovelace")
        await tab.click("Vote")
        await tab.shows("Voted!", "After lunch")


@pytest.mark.parametrize("size", [(1280, 900), PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_state_of_the_page_is_accessible(browser: Browser, polls: Polls, size: Any, scheme: Any) -> None:
    options = [{"id": str(number), "title": f"Option {number} " + "with a long name " * 4} for number in range(12)]
    everything = {"allowComment": True, "saveParticipantNames": True, "allowRevote": True}
    poll = await polls.create_poll(title="Which one? " * 6, options=options, settings=everything)
    await asyncio.gather(*(polls.vote(poll["id"], str(number), str(number % 7)) for number in range(40)))
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base, size=size, scheme=scheme) as tab:
        await tab.open(path_of(link))
        await tab.require_accessible()
        await tab.page.get_by_label("Option 3").check()
        await tab.page.get_by_label("Your name").fill("Ada")
        await tab.click("Vote")
        for view in ("Table", "Bar", "Pie"):
            await tab.open(f"/p/{link['id']}?results={view.lower()}")
            await tab.shows("Live. Total: 41 participants, 41 votes")
            await tab.require_accessible()
        await polls.v1("DELETE", f"/polls/{poll['id']}/links")
        await tab.open(f"/p/{link['id']}")
        await tab.require_accessible()


async def open_frame(tab: Tab, top: str, address: str) -> Frame:
    """Open a page at `top` that shows an address in a frame, and return the frame."""
    page = f'<title>Wiki</title><iframe src="{address}" width="600" height="600"></iframe>'
    await tab.page.route(f"{top}/", lambda route: route.fulfill(body=page, content_type="text/html"))
    await tab.page.goto(f"{top}/")
    return tab.page.frames[-1]


async def test_frame_on_a_page_that_is_not_listed_stays_empty(browser: Browser, polls: Polls) -> None:
    poll = await create_poll(polls)
    link = await create_link(polls, poll["id"])
    async with open_tab(browser, polls.base, other_origins=(ELSEWHERE,)) as tab:
        tab.expect_message("frame-ancestors")
        frame = await open_frame(tab, ELSEWHERE, polls.base + path_of(link))

        assert "Which day" not in await frame.content()
        assert tab.expected_messages


@pytest.mark.own_services
async def test_vote_in_a_frame_on_a_listed_page_of_another_site(
    browser: Browser, database: ClonedDatabase, redis_url: str, authority: Authority, polls: Polls
) -> None:
    """Over HTTPS, as browsers send cookies to frames on other sites only then."""
    poll = await create_poll(polls)
    link = await create_link(polls, poll["id"])
    port = take_port()
    base = f"https://127.0.0.1:{port}"
    async with (
        run_polls_service(database, redis_url, authority.base, embed_origins=ELSEWHERE, resource_url=base) as embedded,
        run_tls_proxy(port, int(embedded.base.rpartition(":")[2])),
        open_tab(browser, base, other_origins=(ELSEWHERE,), ignore_https_errors=True) as tab,
    ):
        frame = await open_frame(tab, ELSEWHERE, base + path_of(link))
        await frame.get_by_label("Monday").check()
        await frame.get_by_role("button", name="Vote").click()

        await expect(frame.locator("body")).to_contain_text("Voted!")
        await tab.page.reload()
        await expect(tab.page.frames[-1].locator("body")).to_contain_text("Voted!")
    assert (await polls.get_results(poll["id"]))["participants"] == 1
