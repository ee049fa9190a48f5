"""Creating polls on a page: from templates, with errors next to fields, and without scripts."""

from typing import Any

import pytest

from services.polls.domain.templates import TEMPLATES
from tests.support.page_client import Browser, Page, manage
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

NEW = "/manage/polls/new"
BLANK = f"{NEW}?template=blank"
PLACE = {"place-workspace": "PLAT", "place-content": "PLAT-1"}
LOCATION = {"workspace": "PLAT", "content": "PLAT-1"}
LUNCH = {**PLACE, "title": "Lunch?", "option_title": ["Pizza", "Soup", ""]}
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


async def created(polls: Polls, page: Page) -> Any:
    """Return the poll that the page leads to after its creation."""
    path, _, query = page.location.partition("?")
    assert (page.status, query) == (303, "done=created"), page.text
    return (await polls.v1("GET", f"/polls/{path.rpartition('/')[2]}")).json


def option_titles(poll: Any) -> list[str]:
    """Return the titles of the options of a poll."""
    return [option["title"] for option in poll["options"]]


@pytest.fixture
async def browser(polls: Polls, authority: Authority) -> Browser:
    """Return a browser that manages polls with a token for everything."""
    return await manage(polls, authority)


async def test_templates_are_offered(browser: Browser) -> None:
    page = await browser.get(NEW)

    assert {f"{NEW}?template={template.id}" for template in TEMPLATES} <= set(page.links)
    assert (await browser.get(NEW, template="unknown")).location == NEW


@pytest.mark.parametrize("template", [each for each in TEMPLATES if each.id != "blank"], ids=lambda each: each.id)
async def test_poll_is_created_from_template_as_it_is(polls: Polls, browser: Browser, template: Any) -> None:
    page = await browser.submit(f"{NEW}?template={template.id}", **PLACE)

    poll = await created(polls, page)
    by_api = await polls.create_poll(template=template.id)
    assert {**poll, **dict.fromkeys(("id", "createdAt", "updatedAt"))} == {
        **by_api,
        **dict.fromkeys(("id", "createdAt", "updatedAt")),
    }


async def test_blank_poll_is_created_with_every_setting(polls: Polls, browser: Browser) -> None:
    boxes = (
        *("allow_selection_of_multiple_options", "hide_absolute_numbers", "allow_revote", "save_participant_names"),
        *("close_poll_on_end_date", "allow_comment"),
    )

    page = await browser.submit(
        BLANK,
        **LUNCH,
        **{"place-container": "macro-7"},
        description="At one\r\nor two",
        results_visibility="afterClose",
        end_day="2099-12-24",
        end_time="18:30",
        **dict.fromkeys(boxes, "true"),
    )

    poll = await created(polls, page)
    assert poll["location"] == {**LOCATION, "container": "macro-7"}
    assert (poll["title"], poll["description"]) == ("Lunch?", "At one\nor two")
    assert poll["options"] == [
        {"id": "1", "title": "Pizza", "order": 0},
        {"id": "2", "title": "Soup", "order": 1},
    ]
    assert poll["settings"] == {
        "allowSelectionOfMultipleOptions": True,
        "resultsVisibility": "afterClose",
        "endDate": "2099-12-24T18:30:00Z",
        "hideAbsoluteNumbers": True,
        "allowRevote": True,
        "saveParticipantNames": True,
        "closePollOnEndDate": True,
        "allowComment": True,
    }
    assert "The poll is created." in (await browser.follow(page)).text


async def test_errors_are_next_to_their_fields_and_nothing_typed_is_lost(browser: Browser) -> None:
    typed = {
        "title": " ",
        "place-workspace": "PLAT",
        "place-content": "",
        "description": "kept " + "x" * 10_000,
        "option_title": ["Same", "Same", "y" * 256],
        "results_visibility": "afterClose",
        "end_time": "18:00",
        "allow_comment": "true",
    }

    page = await browser.submit(BLANK, **typed)

    assert page.status == 422
    for error in (
        "No poll was created. Correct the marked fields.",
        "Enter a title.",
        "Enter a content, such as PLAT-1.",
        "This has 10005 characters; expected at most 10000.",
        "The titles of the options 1 and 2 look the same",
        "This has 256 characters; expected 1 to 255.",
        "Choose the day.",
    ):
        assert error in page.text
    for field in ("title", "place-content", "description", "option-1", "option-2", "end_day"):
        assert f'id="{field}-error"' in page.html
    sent = page.form().fields
    assert {name: sent[name] for name in typed} == {
        name: [value] if isinstance(value, str) else value for name, value in typed.items()
    }


async def test_results_after_the_end_without_an_end_are_explained_there(browser: Browser) -> None:
    visibility = await browser.submit(BLANK, **LUNCH, results_visibility="afterClose")
    closing = await browser.submit(BLANK, **LUNCH, close_poll_on_end_date="true")

    assert (visibility.status, closing.status) == (422, 422)
    assert "Results after the end need an end: choose a day below, and close the poll then." in visibility.text
    assert "Choose a day, or do not close the poll at its end." in closing.text


async def test_poll_that_would_be_closed_at_once_is_refused_beside_its_end(polls: Polls, browser: Browser) -> None:
    page = await browser.submit(BLANK, **{**LUNCH, "title": ""}, end_day="2026-01-01", close_poll_on_end_date="true")
    page = await browser.send(page, title="Lunch?")

    assert page.status == 422
    assert "This time is over, so the poll would be closed at once. Choose a later one." in page.text
    assert 'id="end_day-error"' in page.html
    assert (await polls.v1("GET", "/polls")).json["items"] == []
    poll = await created(polls, await browser.send(page, close_poll_on_end_date=None))
    assert (poll["status"], poll["settings"]["endDate"]) == ("open", "2026-01-01")


async def test_fields_of_the_place_are_explained(browser: Browser) -> None:
    page = await browser.get(BLANK)

    for name, text in (
        ("workspace", "In Jira the project key, in Confluence the id of the space."),
        ("content", "In Jira the issue key, in Confluence the id of the page."),
        ("container", "In Confluence the id of the macro."),
    ):
        assert f'aria-describedby="place-{name}-hint"' in page.html
        assert text in page.text


async def test_form_without_options_is_refused(browser: Browser) -> None:
    page = await browser.submit(BLANK, **{**LUNCH, "option_title": ["", " ", ""]})

    assert (page.status, "Enter at least one option." in page.text) == (422, True)


async def test_rows_are_added_moved_and_removed_without_scripts(polls: Polls, browser: Browser) -> None:
    page = await browser.submit(f"{NEW}?template=yes-no", **PLACE, title="Kept?", add_options="true")
    assert page.form().fields["option_title"] == ["Yes", "No", "", "", ""]

    page = await browser.send(page, option_title=["Yes", "No", "Maybe", "Later", ""], move_up="2")
    assert page.form().fields["option_title"] == ["Yes", "Maybe", "No", "Later", ""]

    page = await browser.send(page, move_down="0")
    page = await browser.send(page, remove_option="3")
    assert (page.status, page.form().fields["option_title"]) == (200, ["Maybe", "Yes", "No", ""])
    assert page.form().fields["title"] == ["Kept?"]

    poll = await created(polls, await browser.send(page))
    assert poll["options"] == [
        {"id": "1", "title": "Maybe", "order": 0},
        {"id": "yes", "title": "Yes", "order": 1},
        {"id": "no", "title": "No", "order": 2},
    ]


@pytest.mark.parametrize("button", ["move_up", "move_down", "remove_option"])
@pytest.mark.parametrize("value", ["99", "-1", "x", "٣", ""])
async def test_button_of_no_row_changes_nothing(browser: Browser, button: str, value: str) -> None:
    page = await browser.submit(BLANK, **LUNCH, **{button: value})

    assert (page.status, page.form().fields["option_title"]) == (200, ["Pizza", "Soup", ""])


async def test_preview_without_scripts_shows_what_people_will_see(browser: Browser) -> None:
    page = await browser.submit(
        BLANK, **LUNCH, allow_comment="true", end_day="2099-12-24", close_poll_on_end_date="true", preview="true"
    )

    assert page.status == 200
    for text in ("What people will see", "Lunch?", "Pizza", "You can write a comment."):
        assert text in page.text
    assert "Vote for One Option Pizza Soup" in page.text
    assert "You can vote for one option." not in page.text
    assert "The poll closes on 24 Dec 2099, 23:59 UTC." in page.text
    assert "Not complete yet" not in page.text


async def test_live_preview_is_a_part_of_a_page_and_says_what_is_missing(browser: Browser) -> None:
    form = (await browser.get(BLANK)).form()

    part = await browser.post("/manage/polls/preview", form.filled({"title": XSS, "option_title": ["A", "A", ""]}))
    without_token = await browser.post("/manage/polls/preview", [("title", "x")])

    assert part.status == 200
    assert "<html" not in part.html
    assert "&lt;script&gt;" in part.html
    assert "Option 2: The titles of the options 1 and 2 look the same" in part.text
    assert without_token.status == 403


async def test_only_place_of_the_token_is_entered_already(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority, "polls:read,create:SPACE/12345/macro-7")

    form = (await browser.get(BLANK)).form().fields
    poll = await created(polls, await browser.submit(BLANK, title="Lunch?", option_title=["Pizza"]))

    where = {"workspace": "SPACE", "content": "12345", "container": "macro-7"}
    assert {name: form[f"place-{name}"] for name in where} == {name: [text] for name, text in where.items()}
    assert poll["location"] == where


async def test_places_of_the_token_are_suggested_and_others_are_refused(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority, "polls:read,create:PLAT/PLAT-7", "polls:create:OPS")

    form = await browser.get(BLANK)
    refused = await browser.submit(BLANK, **LUNCH)

    assert '<option value="OPS">' in form.html
    assert '<option value="PLAT-7">' in form.html
    assert "Your token may create polls in OPS and on PLAT-7 in PLAT." in form.text
    assert (refused.status, "Your token may not create polls there. It may in OPS" in refused.text) == (403, True)
    assert refused.form().fields["title"] == ["Lunch?"]
    assert (await polls.v1("GET", "/polls")).json["items"] == []


async def test_token_that_may_not_create_is_offered_nothing_and_refused(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority, "polls:read,update:PLAT")
    other = await manage(polls, authority)
    form_token = (await browser.get("/manage/polls")).form("/manage/polls/search").fields["form_token"][0]
    sent = (await other.get(BLANK)).form().filled({**LUNCH, "form_token": form_token})

    shown, forced = await browser.get(NEW), await browser.post(NEW, sent)

    assert (shown.status, forced.status) == (403, 403)
    assert "Missing scope: polls:create:" in shown.text
    assert (await polls.v1("GET", "/polls")).json["items"] == []


async def test_token_that_may_not_read_gets_the_id_of_its_new_poll(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority, "polls:create,vote:PLAT")

    page = await browser.submit(BLANK, **LUNCH)

    (poll,) = (await polls.v1("GET", "/polls")).json["items"]
    assert (page.status, poll["id"] in page.text) == (201, True)
    assert {f"/manage/polls/{poll['id']}/links", NEW, "/manage/polls"} <= set(page.links)


async def test_form_that_is_sent_twice_creates_one_poll(polls: Polls, browser: Browser) -> None:
    form = await browser.get(BLANK)

    first, again = [await browser.send(form, **LUNCH) for _ in range(2)]
    other = await browser.send(form, **{**LUNCH, "title": "Dinner?"})

    assert first.location == again.location
    assert (other.status, "The same form has created a poll before" in other.text) == (409, True)
    assert len((await polls.v1("GET", "/polls")).json["items"]) == 1
    assert (await browser.send(other)).status == 303
    assert len((await polls.v1("GET", "/polls")).json["items"]) == 2


async def test_form_over_the_rate_limit_can_be_sent_again_as_it_was(polls: Polls, authority: Authority) -> None:
    browser = await manage(polls, authority, "polls:*:PLAT", rate_limit=2)
    form = await browser.get(BLANK)

    refused = await browser.send(form, **LUNCH, description="one\r\ntwo", allow_comment="true")

    sent = refused.form().fields
    assert (refused.status, "Rate limit reached" in refused.text) == (429, True)
    assert (sent["title"], sent["option_title"], sent["allow_comment"]) == (["Lunch?"], ["Pizza", "Soup", ""], ["true"])
    assert sent["description"] == ["one\r\ntwo"]
    assert sent["form_token"] == form.form().fields["form_token"]
    assert refused.form().action == ""


async def test_form_without_its_key_creates_nothing(polls: Polls, browser: Browser) -> None:
    page = await browser.submit(BLANK, **LUNCH, form_key="x")

    assert (page.status, "The form has no key" in page.text) == (400, True)
    assert (await polls.v1("GET", "/polls")).json["items"] == []


async def test_markup_in_texts_is_shown_as_text_everywhere(polls: Polls, browser: Browser) -> None:
    page = await browser.submit(BLANK, **PLACE, title=XSS, description=XSS, option_title=[XSS, "b"])
    poll = await created(polls, page)
    path = f"/manage/polls/{poll['id']}"
    assert poll["title"] == XSS

    for shown in ("/manage/polls", path, f"{path}/edit", f"{path}/close", f"{path}/delete"):
        page = await browser.get(shown)
        assert page.status == 200
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.html
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html


async def test_largest_poll_fits_into_the_form(polls: Polls, browser: Browser) -> None:
    titles = [f"{'ü' * 240}{number}" for number in range(100)]

    page = await browser.submit(BLANK, **{**LUNCH, "option_title": titles})
    too_many = await browser.submit(BLANK, **{**LUNCH, "option_title": [*titles, "one more"]})

    assert option_titles(await created(polls, page)) == titles
    assert (too_many.status, "A poll has 1 to 100 options, this one has 101." in too_many.text) == (422, True)
    assert too_many.form().fields["option_title"][100] == "one more"


async def test_form_with_far_too_many_rows_keeps_them(browser: Browser) -> None:
    titles = [f"option {number}" for number in range(200)]

    page = await browser.submit(BLANK, **{**LUNCH, "option_title": titles, "option_key": [""] * 200})

    assert (page.status, page.form().fields["option_title"]) == (422, titles)
