"""Managing voting links and reading results in a browser, with and without scripts."""

import csv
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, expect

from tests.pages.conftest import OpenTab
from tests.pages.test_manage import LIST, TWICE_AS_LARGE, XSS, sign_in
from tests.support.browser import PHONE, WIDE, Tab, open_tab, run_browser
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls
from tests.support.voter import create_link

pytestmark = pytest.mark.shared_services

DAYS: Final = [{"id": day[:3].lower(), "title": day} for day in ("Monday", "Tuesday", "Wednesday")]
NAMED: Final = {"saveParticipantNames": True, "allowComment": True}


def path_to(poll: Any, page: str) -> str:
    """Return the path of a page about a poll."""
    return f"{LIST}/{poll['id']}/{page}"


async def require_no_secret(tab: Tab) -> None:
    """Fail if the page shows a secret, or has one in its address."""
    assert not find_secrets(await tab.page.content())
    assert not find_secrets(tab.page.url)


@pytest.mark.parametrize(("javascript", "size"), [(True, WIDE), (False, PHONE)], ids=["scripts", "no scripts, phone"])
async def test_link_is_created_shown_once_used_and_revoked(
    browser: Browser, new_polls_tab: OpenTab, polls: Polls, javascript: bool, size: tuple[int, int]
) -> None:
    poll = await polls.create_poll(title="Which day?", options=DAYS)
    async with new_polls_tab(javascript=javascript, size=size) as tab:
        page = tab.page
        await sign_in(tab, polls.token, f"{LIST}/{poll['id']}")
        await tab.click("Voting links")
        await tab.shows("This poll has no voting links yet.")
        await tab.click("Create shared link")
        await page.get_by_label("Label").fill("Team page")
        await page.get_by_role("button", name="Create shared link").click()
        await tab.shows("Voting link created", "Copy the address now.")
        address = await page.get_by_label("Address of the voting link", exact=True).input_value()
        assert len(find_secrets(address)) == 1

        async with open_tab(browser, polls.base) as voter:
            await voter.open("/p/" + address.rpartition("/p/")[2])
            await voter.page.get_by_label("Monday").check()
            await voter.click("Vote")
            await voter.shows("Voted!")

        await page.reload()
        await tab.shows("Voting links", "Team page")
        await require_no_secret(tab)
        await page.get_by_role("link", name="Revoke Team page").click()
        await tab.shows("Revoke the shared link “Team page”", "1 person has voted by it.")
        await page.go_back()
        await require_no_secret(tab)
        await page.go_forward()
        await tab.click("Revoke permanently")
        await tab.shows("The link is revoked.", "Revoked")
    assert (await polls.get_results(poll["id"]))["votes"] == 1


async def test_address_is_copied_and_gone_after_back(new_polls_tab: OpenTab, polls: Polls) -> None:
    poll = await polls.create_poll(settings=NAMED)
    async with new_polls_tab(permissions=["clipboard-read", "clipboard-write"]) as tab:
        page = tab.page
        await sign_in(tab, polls.token, path_to(poll, "links/personal"))
        await page.get_by_label("Participant", exact=True).fill("ada")
        await page.get_by_role("button", name="Create personal links").click()
        await tab.shows("Voting link created", "ada")
        await tab.click("Copy: Address of the voting link")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == await page.get_by_label("Address of the voting link", exact=True).input_value()

        await tab.click("I have copied it")
        await tab.shows("Voting links", "Personal")
        for _ in range(3):
            await page.go_back()
            await require_no_secret(tab)
        assert len((await polls.v1("GET", f"/polls/{poll['id']}/links")).json["items"]) == 1


async def test_table_of_addresses_is_empty_after_back(polls: Polls) -> None:
    """A browser that may keep whole pages in memory does so even if they must not be stored."""
    poll = await polls.create_poll()
    async with (
        run_browser(ignore_default_args=["--disable-back-forward-cache"]) as keeping,
        open_tab(keeping, polls.base) as tab,
    ):
        page = tab.page
        await sign_in(tab, polls.token, path_to(poll, "links/personal"))
        await page.get_by_label("Several participants").check()
        await page.get_by_label("Participants", exact=True).fill("ada\nbob")
        await page.get_by_role("button", name="Create personal links").click()
        await tab.shows("2 voting links created")
        assert len(find_secrets(await page.content())) == 2

        await tab.open(LIST)
        await page.go_back()
        await tab.shows("Voting links")
        await require_no_secret(tab)


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
async def test_links_for_many_are_a_table_or_a_file(
    new_polls_tab: OpenTab, polls: Polls, javascript: bool, tmp_path: Path
) -> None:
    poll = await polls.create_poll(settings=NAMED)
    people = tmp_path / "team.csv"
    people.write_text(f"participant,name\nada,Ada Lovelace\nbob,{XSS}\ngrace\ngrace\n", encoding="utf-8")
    async with new_polls_tab(javascript=javascript, size=PHONE) as tab:
        page = tab.page
        await sign_in(tab, polls.token, path_to(poll, "links/personal"))
        await page.get_by_label("Several participants").check()
        if javascript:
            await page.get_by_label("Or choose a CSV file").set_input_files(people)
            await expect(page.get_by_label("Participants", exact=True)).to_have_value(people.read_text())
        else:
            await page.get_by_label("Participants", exact=True).fill(people.read_text())
        await page.get_by_role("button", name="Create personal links").click()
        await tab.shows("Line 5: This is the participant of line 4 too; each gets one link.")
        await page.get_by_label("Participants", exact=True).fill("\n".join(people.read_text().split("\n")[:4]))
        await page.get_by_role("button", name="Create personal links").click()
        await tab.shows("3 voting links created", "Ada Lovelace", XSS)
        assert len(find_secrets(await page.content())) == 3
        await page.reload()
        await require_no_secret(tab)

        await tab.open(path_to(poll, "links/personal"))
        await page.get_by_label("Several participants").check()
        await page.get_by_label("Participants", exact=True).fill("=1+1, @SUM(A1)\nlin")
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Create and download CSV").click()
        file = tmp_path / "links.csv"
        await (await started.value).save_as(file)
        rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
        assert [row[:2] for row in rows[1:]] == [["'=1+1", "'@SUM(A1)"], ["lin", ""]]
        assert len(find_secrets(file.read_text())) == 2
        await require_no_secret(tab)

        await page.get_by_role("link", name="voting links", exact=True).click()
        await page.get_by_label("Kind").select_option("Personal")
        await page.get_by_label("Status").select_option("Active")
        await tab.click("Find")
        assert tab.path == f"{path_to(poll, 'links')}?kind=personal&status=active"
        await tab.click("Revoke all of these")
        await tab.shows("Revoke 5 active personal links")
        await tab.click("Revoke 5 links permanently")
        await tab.shows("5 voting links were revoked.")
        await tab.click("Voting links")
        await tab.shows("Revoked")


async def test_form_works_on_after_a_download(new_polls_tab: OpenTab, polls: Polls) -> None:
    poll = await polls.create_poll(settings=NAMED)
    async with new_polls_tab() as tab:
        page = tab.page
        await sign_in(tab, polls.token, path_to(poll, "links/personal"))
        await page.get_by_label("Participant", exact=True).fill("ada")
        download = page.locator("button[name=csv]")
        async with page.expect_download():
            await download.click()
        await expect(download).to_have_text("Creating the file …")
        await expect(page.get_by_role("status")).to_contain_text("The links are created, and the file is in your")
        await expect(download).to_have_text("Create and download CSV")
        await expect(download).to_be_enabled()
        await expect(page.get_by_role("link", name="Show the links")).to_be_visible()
        await tab.require_accessible()

        await page.get_by_role("button", name="Create personal links").click()  # the same form creates nothing more
        await tab.shows("This form was sent before.", "ada")
        assert len((await polls.v1("GET", f"/polls/{poll['id']}/links")).json["items"]) == 1


async def test_file_that_is_not_utf_8_is_refused_beside_its_field(
    new_polls_tab: OpenTab, polls: Polls, tmp_path: Path
) -> None:
    poll = await polls.create_poll()
    people = tmp_path / "team.csv"
    async with new_polls_tab() as tab:
        page = tab.page
        await sign_in(tab, polls.token, path_to(poll, "links/personal"))
        await page.get_by_label("Several participants").check()
        field, file = page.get_by_label("Participants", exact=True), page.get_by_label("Or choose a CSV file")
        for encoding in ("latin-1", "utf-16"):
            people.write_text("jürgen,Jürgen", encoding=encoding)
            await file.set_input_files(people)
            await tab.shows("This file is not UTF-8. Save it as “CSV UTF-8”, or paste its lines.")
            await expect(field).to_have_value("")
        await tab.require_accessible()

        people.write_text("jürgen,Jürgen", encoding="utf-8-sig")
        await file.set_input_files(people)
        await expect(field).to_have_value("jürgen,Jürgen")
        await tab.does_not_show("This file is not UTF-8.")


async def test_results_change_while_people_vote_and_end_with_the_token(
    new_polls_tab: OpenTab, polls: Polls, authority: Authority
) -> None:
    poll = await polls.create_poll(title="Which day?", options=DAYS)
    issued = await authority.issue("polls:read,results:PLAT")
    async with new_polls_tab() as tab, new_polls_tab(javascript=False) as plain:
        for each in (tab, plain):
            await sign_in(each, issued["token"], f"{LIST}/{poll['id']}")
            await each.click("Results")
        await tab.click("Bar")
        await tab.shows("Live. Total: 0 participants, 0 votes")
        await polls.vote(poll["id"], "ada", "mon")
        await tab.shows("Live. Total: 1 participant, 1 vote")
        bars = tab.page.locator(".bar rect")
        assert [await bar.get_attribute("width") for bar in await bars.all()] == ["100.0", "0", "0"]
        await plain.shows("Total: 0 participants, 0 votes")
        await plain.page.reload()
        await plain.shows("Total: 1 participant, 1 vote")

        await authority.revoke(issued["id"])
        await polls.vote(poll["id"], "bob", "tue")
        await tab.shows("Not live any longer. Reload the page.", "Total: 1 participant, 1 vote")
        await tab.page.reload()
        await tab.shows("Sign in")


async def test_results_are_downloaded_and_comments_and_ballots_are_read(
    new_polls_tab: OpenTab, polls: Polls, tmp_path: Path
) -> None:
    poll = await polls.create_poll(options=DAYS, settings=NAMED)
    await polls.vote(poll["id"], "ada", "mon", name=XSS, comment=XSS)
    async with new_polls_tab() as tab:
        page = tab.page
        await sign_in(tab, polls.token, path_to(poll, "results"))
        async with page.expect_download() as started:
            await tab.click("Download CSV")
        by_api = await polls.v1("GET", f"/polls/{poll['id']}/results", format="csv")
        await (await started.value).save_as(tmp_path / "results.csv")
        assert (tmp_path / "results.csv").read_bytes() == by_api.body
        await tab.click("Comments")
        await tab.shows(XSS)
        await tab.click("Ballots")
        await tab.shows("ada", XSS, "Monday")


async def test_link_is_created_by_keyboard_alone(new_polls_tab: OpenTab, polls: Polls) -> None:
    poll = await polls.create_poll()
    async with new_polls_tab() as tab:
        page, keyboard = tab.page, tab.page.keyboard
        await sign_in(tab, polls.token, path_to(poll, "links/personal"))
        await page.get_by_label("One participant").focus()
        await keyboard.press("Tab")
        await keyboard.type("ada")
        await keyboard.press("Enter")  # creates the link, and downloads nothing
        await tab.shows("Voting link created")
        await expect(page.get_by_role("heading", level=1)).to_be_focused()
        await keyboard.press("Tab")
        await expect(page.get_by_label("Address of the voting link", exact=True)).to_be_focused()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (WIDE, "dark"), (TWICE_AS_LARGE, "light")])
async def test_pages_are_accessible(
    new_polls_tab: OpenTab, polls: Polls, authority: Authority, size: tuple[int, int], scheme: str
) -> None:
    title = "Which of these quite different days suits the whole team best?" + "x" * 80
    poll = await polls.create_poll(title=title, options=DAYS, settings=NAMED)
    empty = await polls.create_poll(settings={"resultsVisibility": "never"})
    link = await create_link(polls, poll["id"], label="x" * 90, maxParticipants=1000, expiresAt="2999-01-01")
    await create_link(polls, poll["id"], "personal", participant="y" * 90, name="z" * 90)
    await polls.vote(poll["id"], "y" * 90, "mon", name="z" * 90, comment="w" * 90)
    pages = (
        *(path_to(poll, f"results?results={view}") for view in ("table", "bar", "pie")),
        *(path_to(each, page) for each in (poll, empty) for page in ("links", "comments", "ballots")),
        *(path_to(poll, f"links{each}") for each in ("?status=expired", "?done=sent_before", "/shared", "/personal")),
        *(path_to(poll, f"links/revoke{each}") for each in ("", f"?link={link['id']}")),
    )

    async with new_polls_tab(size=size, scheme=scheme) as tab:
        page = tab.page
        await sign_in(tab, polls.token)
        for each in pages:
            await tab.open(each)
            await tab.require_accessible()
        await tab.open(path_to(poll, "links/shared"))
        await page.get_by_label("At most … participants").first.fill("many")
        await page.get_by_role("button", name="Create shared link").click()
        await tab.shows("Correct the marked field.")
        await tab.require_accessible()
        await page.get_by_label("At most … participants").first.fill("")
        await page.get_by_role("button", name="Create shared link").click()
        await tab.shows("Voting link created")
        await tab.require_accessible()
        for text, shown in (("a,b,c\nd", "Correct 1 line."), ("a\nb", "2 voting links created")):
            await tab.open(path_to(poll, "links/personal"))
            await page.get_by_label("Several participants").check()
            await page.get_by_label("Participants", exact=True).fill(text)
            await page.get_by_role("button", name="Create personal links").click()
            await tab.shows(shown)
            await tab.require_accessible()

    reader = (await authority.issue("polls:read:PLAT"))["token"]
    async with new_polls_tab(size=size, scheme=scheme) as tab:
        await sign_in(tab, reader, path_to(empty, "results"))
        await tab.shows("withheld from this token")
        await tab.require_accessible()
