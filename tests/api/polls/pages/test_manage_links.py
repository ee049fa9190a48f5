"""Voting links on pages: listed, filtered and created; their addresses are shown once."""

import asyncio
import csv
import io
from typing import Any
from unittest.mock import AsyncMock

import pytest

from services.polls.domain.errors import KeyInUse, TooManyStoredResponses
from services.polls.pages.manage_links import ROWS
from shared.contract.token import VOTING_LINK, is_well_formed
from shared.runtime.http.cursor import write_cursor
from tests.support.page_client import Browser, Page, manage
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls
from tests.support.voter import Voter, create_link

pytestmark = pytest.mark.shared_services

LIST = "/manage/polls"
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
NAMED = {"saveParticipantNames": True}
PAGES = ("links", "links/shared", "links/personal", "links/revoke")


def path_to(poll: Any, page: str = "links") -> str:
    """Return the path of a page about the links of a poll."""
    return f"{LIST}/{poll['id']}/{page}"


async def list_links(polls: Polls, poll: Any, **query: Any) -> list[Any]:
    """Return the links of a poll as the API lists them."""
    return [link async for page in polls.list_pages(f"/polls/{poll['id']}/links", **query) for link in page["items"]]


def only_secret(page: Page) -> str:
    """Return the one secret that a page shows."""
    (secret,) = find_secrets(page.html)
    assert is_well_formed(secret, VOTING_LINK)
    return secret


@pytest.fixture
async def browser(polls: Polls, authority: Authority) -> Browser:
    """Return a browser that manages polls with a token for everything."""
    return await manage(polls, authority)


class TestAccess:
    """Which tokens may open the pages."""

    async def test_token_with_vote_alone_manages_links(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        browser = await manage(polls, authority, "polls:vote:PLAT")

        page = await browser.submit(path_to(poll, "links/shared"), label="Wiki")

        assert page.status == 201
        assert f"{LIST}/{poll['id']}" not in page.links
        assert "Wiki" in (await browser.get(path_to(poll))).text

    async def test_token_without_vote_gets_403_and_cannot_force_a_form(
        self, polls: Polls, authority: Authority
    ) -> None:
        poll = await polls.create_poll()
        await create_link(polls, poll["id"])
        browser = await manage(polls, authority, "polls:read,create,update,delete,results:PLAT")
        form_token = (await browser.get(LIST)).form("/manage/polls/search").fields["form_token"][0]
        sent = [("form_token", form_token), ("form_key", "k" * 20), ("participant", "ada"), ("count", "1")]

        for page in PAGES:
            assert (await browser.get(path_to(poll, page))).status == 403
            assert page == "links" or (await browser.post(path_to(poll, page), sent)).status == 403
        (link,) = await list_links(polls, poll)
        assert link["status"] == "active"

    async def test_poll_outside_of_the_scope_does_not_exist(self, polls: Polls, authority: Authority) -> None:
        poll = await polls.create_poll()
        browser = await manage(polls, authority, "polls:*:OTHER")

        pages = [await browser.get(path_to(poll, page)) for page in PAGES]

        assert [page.status for page in pages] == [404] * len(PAGES)
        assert not any("Lunch?" in page.text for page in pages)

    async def test_forms_of_another_site_are_refused(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        await create_link(polls, poll["id"])

        for page in PAGES[1:]:
            assert await browser.forge(path_to(poll, page)) == [403] * 5
        assert [link["status"] for link in await list_links(polls, poll)] == ["active"]

    async def test_pages_without_a_session_lead_to_sign_in_and_back(self, polls: Polls) -> None:
        poll = await polls.create_poll()

        for page in PAGES:
            answer = await Browser(polls).get(path_to(poll, page))
            assert (answer.status, answer.location) == (303, f"/manage/sign-in?next={path_to(poll, page)}")
        for kind in ("shared", "personal"):
            answer = await Browser(polls).post(path_to(poll, f"links/{kind}"))
            assert answer.location == f"/manage/sign-in?ended=true&next={path_to(poll, f'links/{kind}')}"


class TestList:
    """The list of links."""

    async def test_poll_without_links_says_what_to_do(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()

        page = await browser.get(path_to(poll))

        assert "Create one, and send it to the people who should vote." in page.text
        assert {path_to(poll, "links/shared"), path_to(poll, "links/personal")} <= set(page.links)

    async def test_links_are_listed_newest_first_with_what_is_known(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)
        shared = await create_link(polls, poll["id"], label="Team page", maxParticipants=1000, expiresAt="2999-12-24")
        await create_link(polls, poll["id"], "personal", participant="ada", name="Ada Lovelace")
        voter = Voter(polls)
        await voter.vote(await voter.open(shared), "Yes", name="Grace")

        page = await browser.get(path_to(poll))

        rows = page.text[page.text.index("Actions") :]
        assert rows.index("ada Ada Lovelace Personal Active") < rows.index("Team page Shared Active")
        assert f"{shared['hint']} 1 of 1,000 24 Dec 2999, 23:59 UTC" in rows
        assert not find_secrets(page.html)

    async def test_participants_are_not_listed_where_names_are_not_stored(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        await create_link(polls, poll["id"], "personal", participant="ada", name="Ada Lovelace")

        page = await browser.get(path_to(poll))

        assert "One participant, not stored" in page.text
        assert "ada" not in page.text.lower()

    async def test_filters_find_links_by_kind_and_status(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)
        revoked = await create_link(polls, poll["id"], label="Mail")
        await create_link(polls, poll["id"], label="Wiki")
        await create_link(polls, poll["id"], "personal", participant="ada")
        await polls.v1("DELETE", f"/polls/{poll['id']}/links/{revoked['id']}")

        for query, expected in (
            ({}, {"Mail", "Wiki", "ada"}),
            ({"kind": "shared"}, {"Mail", "Wiki"}),
            ({"kind": "personal"}, {"ada"}),
            ({"status": "active"}, {"Wiki", "ada"}),
            ({"status": "revoked"}, {"Mail"}),
            ({"kind": "shared", "status": "active"}, {"Wiki"}),
            ({"kind": "", "status": "expired"}, set()),
        ):
            page = await browser.get(path_to(poll), **query)
            shown = page.text.partition("Show the results elsewhere")[0]
            assert {name for name in ("Mail", "Wiki", "ada") if f"{name} " in shown} == expected, query
            assert ("No link matches." in page.text) == (not expected)
            assert page.form(path_to(poll)).fields.get("status") == [query.get("status", "")]
        assert (await browser.get(path_to(poll), status="lost")).status == 400

    @pytest.mark.parametrize("keeps_names", [True, False])
    async def test_links_of_a_participant_are_found_and_revoked(
        self, polls: Polls, browser: Browser, keeps_names: bool
    ) -> None:
        poll = await polls.create_poll(settings={"saveParticipantNames": keeps_names})
        for participant in ("ada", "ada", "bob"):
            await create_link(polls, poll["id"], "personal", participant=participant)

        found = await browser.follow(await browser.submit(path_to(poll), participant=" ada ", kind="personal"))
        none = await browser.get(path_to(poll), participant="grace")

        assert found.html.count("/links/revoke?link=") == 2
        assert found.form(path_to(poll)).fields["participant"] == ["ada"]
        assert "No link matches." in none.text
        (revoke,) = (link for link in found.links if link.endswith("revoke?kind=personal&participant=ada"))
        asked = await browser.get(revoke)
        assert "Revoke 2 personal links of ada" in asked.text
        assert "2 voting links were revoked." in (await browser.send(asked)).text
        assert [link["status"] for link in await list_links(polls, poll)] == ["revoked", "revoked", "active"]

    async def test_participant_that_is_a_secret_or_none_is_refused_and_gets_into_no_address(
        self, polls: Polls, browser: Browser
    ) -> None:
        poll = await polls.create_poll()
        link = await create_link(polls, poll["id"])

        for entered, text in (
            (link["url"], "This is a secret, not the id of a participant."),
            ("x" * 256, "This has 256 characters; expected 1 to 255."),
        ):
            page = await browser.submit(path_to(poll), participant=entered)
            assert (page.status, page.location, text in page.text) == (422, "", True)
            assert entered not in page.html
        assert (await browser.get(path_to(poll), participant="x" * 256)).status == 400

    async def test_links_that_are_created_at_once_are_listed_in_the_order_of_their_participants(
        self, polls: Polls, browser: Browser
    ) -> None:
        poll = await polls.create_poll(settings=NAMED)
        people = [f"p{number:03}" for number in range(ROWS + 20, 0, -1)]
        for each in (people, ["last"]):
            await browser.submit(path_to(poll, "links/personal"), who="many", participants="\n".join(each))

        first = await browser.get(path_to(poll))
        second = await browser.get(next(link for link in first.links if "cursor=" in link))

        shown = first.text + second.text
        assert sorted(["last", *people], key=shown.index) == ["last", *people]
        assert all(shown.count(f"{each} ") == 1 for each in people)
        assert [link["participant"] for link in await list_links(polls, poll)] == [*people, "last"]

    async def test_long_list_has_pages_that_keep_the_filter(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)
        people = [{"participant": f"p{number:03}"} for number in range(ROWS + 1)]
        await polls.v1("POST", f"/polls/{poll['id']}/links:batch", {"participants": people})

        first = await browser.get(path_to(poll), kind="personal")
        (following,) = (link for link in first.links if "cursor=" in link)
        second = await browser.get(following)

        shown = [name["participant"] for name in people if name["participant"] in first.text]
        assert len(shown) == ROWS
        (rest,) = {each["participant"] for each in people} - set(shown)
        assert rest in second.text
        assert f"{path_to(poll)}?kind=personal" in second.links
        assert not [link for link in second.links if "cursor=" in link]
        for cursor in ("x", write_cursor(("2026-01-01T00:00:00", "0b8f6a52-7f0e-4b7c-9d3b-1c2d3e4f5a6b"))):
            assert (await browser.get(path_to(poll), cursor=cursor)).status == 400

    async def test_image_is_offered_for_active_shared_links_if_everyone_may_see_results(
        self, polls: Polls, browser: Browser
    ) -> None:
        public, hidden = await polls.create_poll(), await polls.create_poll(settings={"resultsVisibility": "never"})
        links = [await create_link(polls, poll["id"]) for poll in (public, hidden)]
        await create_link(polls, public["id"], "personal", participant="ada")
        images = [f"/p/{link['id']}/results.svg" for link in links]

        pages = [await browser.get(path_to(poll)) for poll in (public, hidden)]
        assert (await polls("GET", images[0])).status == 200
        await polls.v1("DELETE", f"/polls/{public['id']}/links")
        after = await browser.get(path_to(public))

        assert "Each address below shows the results as an image" in pages[0].text
        assert pages[0].value("image-1").endswith(images[0])
        assert pages[0].html.count(images[0]) == 2
        assert [image in page.html for image, page in ((images[1], pages[1]), (images[0], after))] == [False, False]

    async def test_closed_poll_says_that_links_take_no_votes(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})

        assert "Its links show the results, and take no votes." in (await browser.get(path_to(poll))).text


class TestShared:
    """Creating a shared link."""

    async def test_form_offers_the_default_and_creates_a_link_that_works(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        form = await browser.get(path_to(poll, "links/shared"))
        assert form.form().fields["max_per_address"] == ["100"]
        assert "At most … participants from one network address" in form.text

        page = await browser.send(form, label="Team page", end_day="2999-12-24", max_participants="1,000")

        (link,) = await list_links(polls, poll)
        assert page.status == 201
        assert page.value("address").endswith(f"/p/{only_secret(page)}")
        assert page.value("image").endswith(f"/p/{link['id']}/results.svg")
        assert (link["label"], link["maxParticipants"], link["maxPerAddress"]) == ("Team page", 1000, 100)
        assert "Participants at most 1,000 From one network address at most 100" in page.text
        assert link["expiresAt"] == "2999-12-24T23:59:59.999999Z"
        voter = Voter(polls)
        voted = await voter.vote(await voter.open({"url": page.value("address")}), "Yes")
        assert voted.status == 303

    async def test_empty_fields_are_no_limits(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()

        await browser.submit(path_to(poll, "links/shared"), max_per_address="")

        (link,) = await list_links(polls, poll)
        assert [link[name] for name in ("label", "maxParticipants", "maxPerAddress", "expiresAt")] == [None] * 4

    async def test_errors_are_next_to_their_fields_and_nothing_typed_is_lost(
        self, polls: Polls, browser: Browser
    ) -> None:
        poll = await polls.create_poll()
        typed = {"label": "x" * 256, "max_participants": "many", "max_per_address": "0", "end_time": "18:00"}

        page = await browser.submit(path_to(poll, "links/shared"), **typed)
        past = await browser.send(page, label="Wiki", max_participants="", max_per_address="1", end_day="2026-01-01")

        assert (page.status, past.status) == (422, 422)
        for text in (
            *("No link was created. Correct the marked fields.", "This has 256 characters"),
            "Enter a whole number from 1 to 10,000,000, or leave this empty for no limit.",
            "Choose the day.",
        ):
            assert text in page.text
        assert {name: page.form().fields[name][0] for name in typed} == typed
        assert page.text.count("Enter a whole number from 1 to 10,000,000") == 2
        assert "Choose a time in the future" in past.text
        assert await list_links(polls, poll) == []

    async def test_limit_and_past_day_are_refused_together(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        past = {"end_day": "2026-01-01"}

        shared = await browser.submit(path_to(poll, "links/shared"), max_participants="10000001", **past)
        personal = await browser.submit(path_to(poll, "links/personal"), who="many", participants="ada\nada", **past)

        assert (shared.status, personal.status) == (422, 422)
        for page, text in ((shared, "Enter a whole number from 1 to 10,000,000"), (personal, "Correct 1 line.")):
            assert text in page.text
            assert "Choose a time in the future" in page.text

    async def test_markup_in_texts_is_shown_as_text(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(title=XSS, settings=NAMED)

        pages = [
            await browser.submit(path_to(poll, "links/shared"), label=XSS),
            await browser.submit(path_to(poll, "links/personal"), participant=XSS, name=XSS),
            await browser.submit(path_to(poll, "links/personal"), who="many", participants=f"ada\n{XSS}"),
            await browser.get(path_to(poll)),
        ]

        assert [page.status for page in pages] == [201, 201, 201, 200]
        for page in pages:
            assert XSS in page.text
            assert "<script>alert" not in page.html

    @pytest.mark.parametrize("polls_settings", [{"embed_origins": "https://wiki.example, https://jira.example"}])
    async def test_frame_is_explained_where_origins_are_listed(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()

        page = await browser.submit(path_to(poll, "links/shared"))

        assert f'<iframe src="{page.value("address")}" title="Vote"' in page.value("frame")
        assert "Pages of https://wiki.example, https://jira.example may do that." in page.text
        assert "may show the voting page in a frame" in (await browser.get(path_to(poll))).text


class TestShownOnce:
    """An address is in the response that creates it, and nowhere else."""

    async def test_address_is_in_no_other_page(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        page = await browser.submit(path_to(poll, "links/shared"))
        secret = only_secret(page)

        others = [await browser.get(f"{LIST}/{poll['id']}"), await browser.get(path_to(poll))]

        assert page.headers["Cache-Control"] == "no-store"
        assert f'data-then="{path_to(poll)}"' in page.html
        assert not any(secret in other.html for other in others)

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            ("shared", {"label": "Wiki"}),
            ("personal", {"participant": "ada"}),
            ("personal", {"who": "many", "participants": "ada\nbob", "csv": "true"}),
        ],
    )
    async def test_form_that_is_sent_twice_creates_links_once(
        self, polls: Polls, browser: Browser, kind: str, fields: dict[str, str]
    ) -> None:
        poll = await polls.create_poll()
        form = await browser.get(path_to(poll, f"links/{kind}"))
        await browser.send(form, **fields)
        links = await list_links(polls, poll)

        again = await browser.send(form, **fields)

        assert again.location == f"{path_to(poll)}?done=sent_before"
        assert not find_secrets((shown := await browser.follow(again)).html)
        assert "their addresses were shown once" in shown.text
        assert await list_links(polls, poll) == links

    async def test_form_that_is_sent_twice_at_once_creates_a_link_once(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        form = await browser.get(path_to(poll, "links/shared"))

        answers = await asyncio.gather(*(browser.copy().send(form, label="Wiki") for _ in range(5)))

        assert sorted(answer.status for answer in answers) == [201, 303, 303, 303, 303]
        assert len(await list_links(polls, poll)) == 1

    async def test_form_that_is_sent_again_with_other_fields_asks_first(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        form = await browser.get(path_to(poll, "links/shared"))
        await browser.send(form, label="Wiki")

        page = await browser.send(form, label="Mail")
        assert (page.status, page.form().fields["label"]) == (409, ["Mail"])
        assert "created links before" in page.text
        assert len(await list_links(polls, poll)) == 1

        assert (await browser.send(page)).status == 201

    async def test_form_without_a_key_creates_nothing(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()

        page = await browser.submit(path_to(poll, "links/shared"), form_key="")

        assert (page.status, await list_links(polls, poll)) == (400, [])

    async def test_other_secrets_that_were_typed_are_not_repeated(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)

        page = await browser.submit(path_to(poll, "links/personal"), participant=polls.token)

        assert page.status == 201
        assert polls.token not in page.html
        assert only_secret(page) != polls.token


class TestPersonal:
    """Creating personal links."""

    async def test_one_participant_gets_a_link_with_a_name(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)

        page = await browser.submit(path_to(poll, "links/personal"), participant="ada", name="Ada, Countess")

        (link,) = await list_links(polls, poll)
        assert (page.status, "ada (Ada, Countess)" in page.text) == (201, True)
        assert (link["kind"], link["participant"], link["name"]) == ("personal", "ada", "Ada, Countess")
        assert "Image of the results" not in page.text
        voter = Voter(polls)
        assert (await voter.vote(await voter.open({"url": page.value("address")}), "Yes")).status == 303
        assert (await polls.v1("GET", f"/polls/{poll['id']}/votes/ada")).json["name"] == "Ada, Countess"

    async def test_form_asks_for_the_kind_of_file_before_its_buttons(self, polls: Polls, browser: Browser) -> None:
        page = await browser.get(path_to(await polls.create_poll(), "links/personal"))

        assert "What the participant is called." in page.text
        assert page.text.index("The CSV is for Excel") < page.text.index("Create and download CSV")

    async def test_lines_are_read_as_ids_with_names(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)
        text = 'participant,name\r\n\r\nada, "Lovelace, Ada"\r\nbob\r\ngrace;Grace Hopper\r\nlin\tLin "L" Us\r\n'

        page = await browser.submit(path_to(poll, "links/personal"), who="many", participants=text)

        links = await list_links(polls, poll)
        assert (page.status, "4 voting links created" in page.text) == (201, True)
        assert {(link["participant"], link["name"]) for link in links} == {
            *(("ada", "Lovelace, Ada"), ("bob", None), ("grace", "Grace Hopper"), ("lin", 'Lin "L" Us')),
        }
        assert len(find_secrets(page.html)) == 4
        assert "The links never expire." in page.text

    async def test_first_line_with_names_of_columns_is_left_out(
        self, polls: Polls, browser: Browser, subtests: pytest.Subtests
    ) -> None:
        for first, is_header in (
            *(
                ("Email,Name", True),
                ("E-Mail; NAME", True),
                ("user\tname", True),
                ("ID", True),
                ("Email,", True),
                ('"id","name"', True),
            ),
            *(("ada,Name", False), ("email,Ada", False)),
        ):
            with subtests.test(first):
                poll = await polls.create_poll(settings=NAMED)

                await browser.submit(path_to(poll, "links/personal"), who="many", participants=f"\n{first}\nbob\nname")

                found = [link["participant"] for link in await list_links(polls, poll)]
                assert found == [*([] if is_header else [first.split(",")[0]]), "bob", "name"]

    @pytest.mark.parametrize("first", ["Name,Email", "name", "id,email"])
    async def test_first_line_with_columns_in_another_order_is_refused(
        self, polls: Polls, browser: Browser, first: str
    ) -> None:
        poll = await polls.create_poll()

        page = await browser.submit(path_to(poll, "links/personal"), who="many", participants=f"{first}\nAda,ada@x.org")

        assert page.status == 422
        assert "Line 1: Expected a column of ids, or of ids and then of names." in page.text
        assert await list_links(polls, poll) == []

    async def test_a_thousand_participants_are_shown_in_a_table(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        text = "\n".join(f"person-{number}@example.org, {'ä' * 30} {number}" for number in range(1000))

        page = await browser.submit(path_to(poll, "links/personal"), who="many", participants=text)

        assert (page.status, "1,000 voting links created" in page.text) == (201, True)
        secrets = find_secrets(page.html)
        assert len(secrets) == 1000
        rows = list(csv.DictReader(io.StringIO(page.value("all"))))
        assert [row["participant"] for row in rows[::999]] == ["person-0@example.org", "person-999@example.org"]
        assert sorted(row["url"].rpartition("/")[2] for row in rows) == secrets
        assert all(page.html.count(secret) == 2 for secret in secrets)

    async def test_csv_is_the_response_and_has_no_formulas(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll(settings=NAMED)
        text = "=1+1, @SUM(A1)\nbob"

        page = await browser.submit(
            path_to(poll, "links/personal"), who="many", participants=text, csv="true", bom="true"
        )

        assert (page.status, page.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert page.headers["Content-Disposition"] == f'attachment; filename="links-{poll["id"]}.csv"'
        assert page.headers["Cache-Control"] == "no-store"
        assert page.html.startswith("\ufeff")
        header, first, second = csv.reader(io.StringIO(page.html.removeprefix("\ufeff")))
        assert header == ["participant", "name", "url", "id", "expires at"]
        assert first[:2] == ["'=1+1", "'@SUM(A1)"]
        voter = Voter(polls)
        assert (await voter.open({"url": second[2]})).status == 200

    async def test_errors_name_the_lines_and_nothing_typed_is_lost(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        text = f'\nada\nbob, Bob, Junior\n{"x" * 256}\n"open\nADA\nada\n, Grace\ncarl, {"n" * 256}'

        page = await browser.submit(path_to(poll, "links/personal"), who="many", participants=text, end_time="12:00")

        assert page.status == 422
        for error in (
            "Correct 6 lines.",
            "Line 3: Expected an id, or an id and a name; put a name with a comma between quotation marks.",
            "Line 4: The id has 256 characters; expected 1 to 255.",
            "Line 5: The quotation marks are not those of CSV.",
            "Line 7: This is the participant of line 2 too; each gets one link.",
            "Line 8: The id has 0 characters; expected 1 to 255.",
            "Line 9: The name has 256 characters",
            "Choose the day.",
        ):
            assert error in page.text, error
        assert "No link was created. Correct the marked fields." in page.text
        assert page.form().fields["participants"] == [text]
        assert page.form().fields["who"] == ["many"]
        assert await list_links(polls, poll) == []

    async def test_of_many_errors_the_first_are_named(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()

        page = await browser.submit(path_to(poll, "links/personal"), who="many", participants="ada\n" * 13)

        assert "Line 11: " in page.text
        assert "Line 12: " not in page.text
        assert "And 2 other lines." in page.text

    async def test_missing_or_too_many_participants_return_422(self, polls: Polls, browser: Browser) -> None:
        poll = await polls.create_poll()
        path = path_to(poll, "links/personal")

        none = await browser.submit(path)
        empty = await browser.submit(path, who="many", participants="\n\n")
        many = await browser.submit(path, who="many", participants="\n".join(f"p{n}" for n in range(1001)))

        assert "Enter an id for the participant." in none.text
        assert "Enter at least one participant." in empty.text
        assert "These are 1,001 participants; at most 1,000 fit into one form." in many.text
        assert [page.status for page in (none, empty, many)] == [422] * 3

    async def test_lines_without_the_choice_for_them_are_not_used(self, polls: Polls, browser: Browser) -> None:
        """Without scripts both fields are shown, and the choice between them is easily forgotten."""
        poll = await polls.create_poll()

        page = await browser.submit(path_to(poll, "links/personal"), participants="ada\nbob")
        assert (page.status, await list_links(polls, poll)) == (422, [])
        assert "or choose “Several participants” for those below" in page.text

        assert "2 voting links created" in (await browser.send(page, who="many")).text


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (TooManyStoredResponses(), 429, "This token has created as much within a day as it may."),
        (KeyInUse(), 409, "This form is being carried out at the moment."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_refusal_keeps_what_was_typed_and_can_be_repeated(
    polls: Polls, browser: Browser, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, text: str
) -> None:
    poll = await polls.create_poll()
    form = await browser.get(path_to(poll, "links/shared"))
    with monkeypatch.context() as patched:
        patched.setattr("services.polls.operations.links.links.insert_links", AsyncMock(side_effect=error))
        page = await browser.send(form, label="Wiki")

    assert (page.status, text in page.text, page.form().fields["label"]) == (status, True, ["Wiki"])
    assert await list_links(polls, poll) == []
    assert (await browser.send(page)).status == 201


async def test_poll_with_all_its_links_refuses_more(
    polls: Polls, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.polls.operations.links.MAX_LINKS_PER_POLL", 1)
    poll = await polls.create_poll()

    page = await browser.submit(path_to(poll, "links/personal"), who="many", participants="ada\nbob")

    assert (page.status, "A poll has at most" in page.text) == (409, True)
    assert page.form().fields["participants"] == ["ada\nbob"]
