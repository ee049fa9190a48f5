"""The whole way of a poll in browsers: from a template to its results, and to the end of its link and its token."""

import csv
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.pages.conftest import OpenTab
from tests.pages.test_manage import LIST, sign_in
from tests.support.browser import PHONE, open_tab
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services


@pytest.mark.slow
async def test_poll_is_created_shared_voted_in_closed_read_and_ended(  # noqa: PLR0915 - one story
    browser: Browser, new_polls_tab: OpenTab, authority: Authority, polls: Polls
) -> None:
    issued = await authority.issue("polls:*:PLAT")
    async with new_polls_tab(accept_downloads=True) as manage, open_tab(browser, polls.base) as watching:
        page = manage.page
        await sign_in(manage, issued["token"])
        await manage.click("Create poll")
        await manage.click("Score from 1 to 5")
        await page.get_by_label("Content", exact=True).fill("PLAT-7")
        await page.get_by_label("Title", exact=True).fill("How was the trip?")
        await expect(page.locator("#poll-preview")).to_contain_text("How was the trip?")
        await page.get_by_role("button", name="Create poll").click()
        await manage.shows("The poll is created.")
        poll = f"{LIST}/{manage.path.removeprefix(LIST).strip('/').partition('?')[0]}"
        await manage.click("Voting links")
        await manage.click("Create shared link")
        await page.get_by_label("Label").fill("Trip mail")
        await page.get_by_role("button", name="Create shared link").click()
        address = await page.get_by_label("Address of the voting link", exact=True).input_value()
        link = "/p/" + address.rpartition("/p/")[2]

        await watching.open(link)
        await watching.click("Show results")
        await watching.click("Bar")
        await watching.shows("Total: 0 participants, 0 votes")
        kinds: list[dict[str, Any]] = [{}, {"size": PHONE}, {"javascript": False}]
        for number, options in enumerate(kinds, start=1):
            async with open_tab(browser, polls.base, **options) as voter:
                await voter.open(link)
                await voter.page.get_by_label(str(number + 2), exact=True).check()
                await voter.click("Vote")
                await voter.shows("Voted!")
            await watching.shows(f"Total: {number} participant", f"{number} vote")
        await watching.shows("Average: 4.0")

        await manage.open(f"{poll}/close")
        await manage.click("Close the poll")
        await manage.shows("The poll is closed.")
        await watching.shows("This poll was edited or closed in the meantime.")
        await manage.click("Results")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="CSV").first.click()
        rows = list(csv.reader((await (await download.value).path()).read_text(encoding="utf-8-sig").splitlines()))
        assert [row[2] for row in rows] == ["votes", "0", "0", "1", "1", "1"]

        await manage.open(f"{poll}/links")
        await manage.click("Revoke Trip mail")
        await manage.click("Revoke permanently")
        await manage.shows("The link is revoked.")
        await watching.shows("This voting link does not work any longer.")
        await watching.open(link)
        await watching.shows("This voting link does not work")
        await manage.open(f"{poll}/results?results=pie")
        await manage.shows("Total: 3 participants, 3 votes")
        await authority.revoke(issued["id"])
        await manage.open(LIST)
        await manage.shows("Your token no longer works")
