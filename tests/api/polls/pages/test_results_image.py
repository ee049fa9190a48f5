"""`/p/{link}/results.svg` is an image for a page elsewhere, of what everyone may see."""

from xml.etree import ElementTree

import pytest

from tests.support.stack import Answer, Polls
from tests.support.voter import create_link

pytestmark = pytest.mark.shared_services

TRICKY = "<script>alert(1)</script> & \"'"


async def image(polls: Polls, link_id: str, query: str = "", **headers: str) -> Answer:
    """Ask for the image of a link, as a page elsewhere does: without a cookie."""
    return await polls("GET", f"/p/{link_id}/results.svg{query}", headers=headers)


def texts_of(answer: Answer) -> list[str]:
    """Return the texts of a well-formed image. Raise `AssertionError` if it has an active element."""
    root = ElementTree.fromstring(answer.body)  # noqa: S314 - of our own service
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names <= {"svg", "title", "rect", "text"}
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name]
    return [element.text or "" for element in root.iter() if element.text and element.text.strip()]


async def test_image_shows_title_options_and_total(polls: Polls) -> None:
    poll = await polls.create_poll()
    await polls.vote(poll["id"], "ada", "y")
    link = await create_link(polls, poll["id"])

    shown = await image(polls, link["id"])

    assert (shown.status, shown.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    assert shown.headers["Cache-Control"] == "public, max-age=10"
    assert shown.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    texts = texts_of(shown)
    assert texts[:6] == ["Lunch?", "Lunch?", "Yes", "1 vote, 100.0%", "No", "0 votes, 0.0%"]
    assert texts[6] == "Total: 1 participant, 1 vote"


async def test_image_escapes_texts_and_runs_nothing(polls: Polls) -> None:
    options = [{"id": "1", "title": TRICKY}, {"id": "2", "title": "x" * 200}]
    poll = await polls.create_poll(title=TRICKY, options=options)
    link = await create_link(polls, poll["id"])

    shown = await image(polls, link["id"])

    assert "script>" not in shown.body.decode().replace("&lt;script&gt;", "").replace("&lt;/script&gt;", "")
    assert texts_of(shown)[1] == TRICKY
    assert "x" * 39 + "…" in texts_of(shown)
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert shown.headers["X-Content-Type-Options"] == "nosniff"


async def test_image_of_results_that_are_not_public_returns_404_without_the_poll(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    end = {"endDate": "2999-01-01", "closePollOnEndDate": True}
    bodies = set()
    for settings in (
        {"resultsVisibility": "afterVote"},
        {"resultsVisibility": "afterClose", **end},
        {"resultsVisibility": "never"},
    ):
        with subtests.test(**settings):
            poll = await polls.create_poll(settings=settings)
            link = await create_link(polls, poll["id"])

            hidden = await image(polls, link["id"])

            assert hidden.status == 404
            bodies.add(hidden.body)
    poll = await polls.create_poll()
    personal = await create_link(polls, poll["id"], "personal", participant="ada")
    revoked = await create_link(polls, poll["id"])
    await polls.v1("DELETE", f"/polls/{poll['id']}/links/{revoked['id']}")
    for unknown in (personal["id"], revoked["id"], poll["id"], "x", "0" * 36):
        with subtests.test(unknown):
            answer = await image(polls, unknown)

            assert answer.status == 404
            bodies.add(answer.body)
    assert len(bodies) == 1


async def test_image_hides_numbers_that_are_hidden(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"hideAbsoluteNumbers": True})
    for number in range(3):
        await polls.vote(poll["id"], str(number), "y" if number else "n")
    link = await create_link(polls, poll["id"])

    shown = (await image(polls, link["id"])).body.decode()

    assert "66.7%" in shown
    assert "The numbers of votes are hidden." in shown
    assert "vote," not in shown
    assert 'width="298.82"' in shown  # of 66.7, not of two thirds


async def test_image_depends_on_nothing_but_its_path(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    plain = (await image(polls, link["id"])).body.split(b'font-size="12"')[0]

    for query, headers in (
        ("?results=pie&title=x&callback=y", {}),
        ("", {"Host": "elsewhere.example", "X-Forwarded-Host": "elsewhere.example", "Accept-Language": "de"}),
        ("", {"Cookie": "pollgate_voter=x", "Accept": "text/html", "Origin": "https://elsewhere.example"}),
    ):
        answer = await image(polls, link["id"], query, **headers)

        assert answer.body.split(b'font-size="12"')[0] == plain
        assert "Set-Cookie" not in answer.headers


async def test_image_of_a_poll_with_many_options_says_how_many_are_left_out(polls: Polls) -> None:
    options = [{"id": str(number), "title": f"Option {number}"} for number in range(30)]
    poll = await polls.create_poll(options=options)
    link = await create_link(polls, poll["id"])

    texts = texts_of(await image(polls, link["id"]))

    assert "Option 19" in texts
    assert "Option 20" not in texts
    assert "and 10 more" in texts
