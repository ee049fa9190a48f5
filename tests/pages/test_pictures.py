"""The pictures of the documents, taken where `POLLGATE_SCREENSHOTS` names a folder."""

from typing import Final

import pytest

from tests.pages.conftest import OpenTab
from tests.pages.test_manage import LIST, sign_in
from tests.support.browser import PHONE, Tab
from tests.support.stack import Polls
from tests.support.voter import create_link, path_of

pytestmark = [pytest.mark.shared_services, pytest.mark.slow]

BETWEEN: Final = (800, 900)
"""About as wide as the page where people vote."""
LOW: Final = (1040, 480)
"""Just wide enough for a form with the preview beside it."""
OPTIONS: Final = [{"id": day[:3].lower(), "title": day} for day in ("Monday", "Tuesday", "Wednesday")]
VOTES: Final = {"mon": 4, "tue": 9, "wed": 6}


async def vote_and_see_bars(tab: Tab, path: str) -> None:
    """Open a link, vote for Tuesday, and show the results as bars."""
    await tab.open(path)
    await tab.page.get_by_label("Tuesday").check()
    await tab.page.get_by_label("Your name").fill("Ada Lovelace")
    await tab.click("Vote")
    await tab.click("Show results")
    await tab.click("Bar")
    await tab.shows("Voted!", "Live. Total:")
    await tab.page.evaluate("scrollTo(0, 0)")


async def test_pictures_of_voting(new_polls_tab: OpenTab, polls: Polls) -> None:
    poll = await polls.create_poll(
        title="Which day suits you?",
        description="We meet for an hour.",
        options=OPTIONS,
        settings={"saveParticipantNames": True},
    )
    link = await create_link(polls, poll["id"])
    for option, votes in VOTES.items():
        for number in range(votes):
            await polls.vote(poll["id"], f"{option} {number}", option, name=f"Person {number}")

    for name, size in (("poll-page", BETWEEN), ("poll-page-phone", PHONE)):
        async with new_polls_tab(size=size) as tab:
            await vote_and_see_bars(tab, path_of(link))
            await tab.screenshot(name)


async def test_pictures_of_managing(new_polls_tab: OpenTab, polls: Polls) -> None:
    async with new_polls_tab(size=LOW) as tab:
        page = tab.page
        await sign_in(tab, polls.token, f"{LIST}/new?template=yes-no")
        for label, text in (
            *(("Workspace", "PLAT"), ("Content", "PLAT-1"), ("Title", "Pizza on Friday?"), ("Description", "")),
        ):
            await page.get_by_label(label, exact=False).first.fill(text)
        await page.get_by_label("Comments are allowed").check()
        await tab.shows("You can write a comment.")
        await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        await tab.screenshot("manage-create")
