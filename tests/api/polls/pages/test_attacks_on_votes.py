"""What pages of other sites, other participants and readers of the database must not be able to do."""

import re
import time

import pytest

from services.polls.pages.voter_cookies import ENTRY_LIFE_S
from shared.runtime.pages.forms import FORM_TOKEN
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Polls
from tests.support.voter import Voter, create_link, key_of, path_of

pytestmark = pytest.mark.shared_services

PARTICIPANTS = ("xavier", "yolanda", "zoe@example.com")
"""None of them can be a part of a hash."""
SCRIPT = "<script>alert('x')</script><img src=x onerror=alert(1)>"


async def participants_of(polls: Polls, poll_id: str) -> int:
    """Return how many participants the poll counts."""
    return int((await polls.get_results(poll_id))["participants"])


async def test_vote_sent_by_a_page_of_another_site_returns_403(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    action = f"/p/{link['id']}"
    fields = page.form(action).filled({"option": key_of(page, "Yes")})
    without = [(name, text) for name, text in fields if name != FORM_TOKEN]
    stranger = Voter(polls)
    foreign = (await stranger.open(link)).form(action).filled({"option": key_of(page, "Yes")})

    answers = [
        await voter.post(action, without),
        await voter.post(action, [*without, (FORM_TOKEN, "x" * 43)]),
        await voter.post(action, foreign),
        await voter.post(action, fields, origin="https://elsewhere.example"),
        await voter.post(action, fields, origin="null"),
        await voter.post(action, fields, **{"Sec-Fetch-Site": "cross-site"}),
        await voter.post(action, fields, **{"Sec-Fetch-Site": "same-site"}),
        await voter.post(f"{action}/withdraw", without),
    ]

    assert [answer.status for answer in answers] == [403] * 8
    assert await participants_of(polls, poll["id"]) == 0


async def test_vote_with_a_made_up_or_changed_cookie_returns_404(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    key, good = next(iter(voter.jar.items()))
    fields = page.form(f"/p/{link['id']}").filled({"option": key_of(page, "Yes")})
    statuses = set()
    for bad in (good[:40] + ("A" if good[40] != "A" else "B") + good[41:], good[4:], "x", "é", "", good * 20):
        voter.jar[key] = bad
        statuses.add((await voter.post(f"/p/{link['id']}", fields)).status)

    assert statuses == {404}
    assert await participants_of(polls, poll["id"]) == 0


async def test_page_of_a_link_has_one_address(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    path = f"/p/{link['id']}/results.svg"
    others = (link["id"].upper(), f"urn:{link['id'].replace('-', '')}", f"----{link['id'].replace('-', '')}")

    assert (await polls("GET", path)).status == 200
    assert [(await polls("GET", f"/p/{other}/results.svg")).status for other in others] == [404] * 3


async def test_entry_cookie_that_was_kept_makes_no_more_participants(
    polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.get(path_of(link))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + ENTRY_LIFE_S + 1)

    assert (await voter.get(f"/p/{link['id']}")).status == 403


async def test_entry_cookie_does_not_vote(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.get(path_of(link))
    ((path, _), entry), *_ = voter.jar.items()
    voter.jar[path, "pollgate_voter"] = entry

    page = await voter.post(path, [("option", "x")])

    assert page.status == 404


async def test_texts_of_polls_and_participants_are_escaped(polls: Polls, subtests: pytest.Subtests) -> None:
    poll = await polls.create_poll(
        title=SCRIPT,
        description=SCRIPT,
        options=[{"id": '"><script>', "title": SCRIPT}, {"id": "b", "title": "B"}],
        settings={"saveParticipantNames": True, "allowComment": True, "allowRevote": True},
    )
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    fields = {"option": re.findall(r'name="option" value="(\w+)"', page.html)[0], "name": SCRIPT, "comment": SCRIPT}
    voted = await voter.send(page, f"/p/{link['id']}", **fields)
    pages = {"voted": await voter.follow(voted)}
    for view in ("table", "bar", "pie"):
        pages[view] = await voter.get(f"/p/{link['id']}?results={view}")
    pages["refused"] = await voter.send(pages["voted"], f"/p/{link['id']}", **{**fields, "option": "none"})

    assert voted.status == 303
    assert pages["refused"].status == 422
    for name, shown in pages.items():
        with subtests.test(name):
            assert SCRIPT in shown.text
            assert "<script>alert" not in shown.html
            assert "<img src=x" not in shown.html


async def test_view_in_the_address_is_not_repeated_on_the_page(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    await voter.open(link)

    shown = await voter.get(f"/p/{link['id']}", results='"><script>alert(1)</script>', sort="'x")

    assert shown.status == 200
    assert "alert(1)" not in shown.html


async def test_page_can_be_framed_by_its_own_origin_only(polls: Polls) -> None:
    poll = await polls.create_poll()
    page = await Voter(polls).open(await create_link(polls, poll["id"]))

    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"].split("; ")


@pytest.mark.parametrize(
    "polls_settings",
    [{"embed_origins": "https://example.atlassian.net, https://wiki.example.com", "resource_url": "https://p.example"}],
)
async def test_page_can_be_framed_by_listed_origins_with_cookies_for_frames(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    framed, alone = Voter(polls, **{"Sec-Fetch-Dest": "iframe"}), Voter(polls, **{"Sec-Fetch-Dest": "document"})
    path = "/p/" + path_of(link).rpartition("/")[2]

    in_frame = await framed.follow(await framed.get(path))
    in_tab = await alone.follow(await alone.get(path))

    await polls.v1("DELETE", f"/polls/{poll['id']}/links")
    ended = await framed.get(path)

    ancestors = "frame-ancestors 'self' https://example.atlassian.net https://wiki.example.com"
    assert ended.status == 404
    for page in (in_frame, in_tab, ended):
        assert ancestors in page.headers["Content-Security-Policy"].split("; ")
    for cookie in framed.set_cookies:
        assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned"} <= set(cookie.split("; "))
    for cookie in alone.set_cookies:
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Partitioned" not in cookie
    assert all(name.startswith("__Secure-pollgate_") for _, name in framed.jar)


async def test_database_shows_no_relation_of_link_participant_and_ballot(
    polls: Polls, database: ClonedDatabase
) -> None:
    """Not even in the numbers of transactions, which PostgreSQL stores with each row."""
    poll = await polls.create_poll()
    for participant in PARTICIPANTS:
        link = await create_link(polls, poll["id"], "personal", participant=participant, name=f"The {participant}")
        voter = Voter(polls)
        await voter.vote(await voter.open(link), "Yes")
    ballots = await fetch(database.admin_url, "SELECT xmin::text, xmax::text, ballot::text AS row FROM polls.ballot")
    links = await fetch(database.admin_url, "SELECT xmin::text, xmax::text, link::text AS row FROM polls.link")

    of_ballots = {row[name] for row in ballots for name in ("xmin", "xmax")} - {"0"}
    of_links = {row[name] for row in links for name in ("xmin", "xmax")} - {"0"}
    assert len(ballots) == len(links) == 3
    assert not of_ballots & of_links
    for name in PARTICIPANTS:
        for row in (*ballots, *links):
            assert name not in row["row"]
            assert name.encode().hex() not in row["row"]
    hashes = {value for row in ballots for value in re.findall(r"\\\\x([0-9a-f]{64})", row["row"])}
    assert len(hashes) == 3
    assert not [row for row in links for value in hashes if value in row["row"]]


async def test_page_of_poll_without_names_does_not_show_the_choice_again(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True, "allowComment": True})
    link = await create_link(polls, poll["id"], "personal", participant="ada")
    voter = Voter(polls)

    page = await voter.follow(await voter.vote(await voter.open(link), "Yes", comment="After lunch"))

    assert "Voted!" in page.text
    assert "After lunch" not in page.html
    assert "option" not in page.form(f"/p/{link['id']}").fields


async def test_logs_have_neither_secret_nor_link_nor_choice(polls: Polls, caplog: pytest.LogCaptureFixture) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    await voter.vote(page, "Yes", name="Ada Lovelace")

    secret = path_of(link).removeprefix("/p/")
    for text in (secret, link["id"], "Ada Lovelace", key_of(page, "Yes"), next(iter(voter.jar.values()))):
        assert text not in caplog.text
