"""What a shared link limits, exactly and without losing a vote: participants, addresses, time, and its revocation."""

import asyncio

import pytest

from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority, Polls, run_polls_service
from tests.support.voter import Voter, create_link, path_of

pytestmark = pytest.mark.shared_services


async def participants_of(polls: Polls, poll_id: str) -> int:
    """Return how many participants the poll counts."""
    return int((await polls.get_results(poll_id))["participants"])


async def test_cap_on_participants_is_exact_when_browsers_vote_at_once(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], maxParticipants=7)
    voters = [Voter(polls) for _ in range(20)]
    pages = [await voter.open(link) for voter in voters]

    answers = await asyncio.gather(*(voter.vote(page, "Yes") for voter, page in zip(voters, pages, strict=True)))

    statuses = sorted(answer.status for answer in answers)
    assert statuses == [303] * 7 + [409] * 13
    assert "this link has reached its limit of participants" in next(a.text for a in answers if a.status == 409)
    assert await participants_of(polls, poll["id"]) == 7


async def test_deleted_cookie_gives_another_vote_only_up_to_the_limit_by_address(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], maxPerAddress=2)
    statuses = []
    for _ in range(4):
        cheater = Voter(polls)
        statuses.append((await cheater.vote(await cheater.open(link), "Yes")).status)

    assert statuses == [303, 303, 409, 409]
    assert await participants_of(polls, poll["id"]) == 2


@pytest.mark.parametrize("polls_settings", [{"trusted_proxy_hops": 1}])
async def test_limit_by_address_counts_each_address_and_each_ipv6_network(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], maxPerAddress=1)
    statuses = []
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:1::1"):
        voter = Voter(polls, **{"X-Forwarded-For": address})
        statuses.append((await voter.vote(await voter.open(link), "Yes")).status)

    assert statuses == [303, 303, 409, 303, 409, 303]


async def test_refused_vote_does_not_use_up_the_limit_by_address(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], maxPerAddress=1)
    voter = Voter(polls)
    page = await voter.open(link)

    refused = await voter.vote(page)
    voted = await voter.vote(page, "Yes")

    assert (refused.status, voted.status) == (422, 303)


async def test_browser_takes_one_place_at_its_address_however_often_it_votes(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    link = await create_link(polls, poll["id"], maxPerAddress=2)
    voter, colleague = Voter(polls), Voter(polls)
    for _ in range(3):
        await voter.vote(await voter.open(link), "Yes")
        assert (await voter.withdraw(link)).status == 303

    assert (await colleague.vote(await colleague.open(link), "Yes")).status == 303


async def test_form_sent_twice_at_once_is_no_refusal_by_a_limit(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    link = await create_link(polls, poll["id"], maxPerAddress=1, maxParticipants=1)
    voter = Voter(polls)
    page = await voter.open(link)

    answers = await asyncio.gather(*(voter.vote(page, "Yes") for _ in range(6)))

    assert {answer.status for answer in answers} == {303}
    assert await participants_of(polls, poll["id"]) == 1


@pytest.mark.own_services
async def test_votes_are_taken_while_redis_is_away(
    database: ClonedDatabase, authority: Authority, polls: Polls
) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], maxPerAddress=1)
    async with run_polls_service(database, "redis://127.0.0.1:1/0", authority.base) as without_redis:
        for _ in range(2):
            voter = Voter(without_redis)
            assert (await voter.vote(await voter.open(link), "Yes")).status == 303
    assert await participants_of(polls, poll["id"]) == 2


async def test_expired_link_opens_no_page_and_takes_no_vote(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"], expiresAt="2999-01-01")
    voter = Voter(polls)
    page = await voter.open(link)
    await fetch(database.admin_url, "UPDATE polls.link SET expires_at = now() - interval '1 second'")

    voted, reloaded, opened = (
        await voter.vote(page, "Yes"),
        await voter.get(f"/p/{link['id']}"),
        await Voter(polls).get(path_of(link)),
    )

    assert (voted.status, reloaded.status, opened.status) == (404, 404, 404)
    assert await participants_of(polls, poll["id"]) == 0


async def test_no_vote_is_stored_after_the_revocation_of_its_link_is_answered(polls: Polls) -> None:
    """Votes in flight are either stored before the answer to the revocation, or refused."""
    for round_number in range(5):
        poll = await polls.create_poll()
        link = await create_link(polls, poll["id"], kind="shared")
        voters = [Voter(polls) for _ in range(12)]
        pages = [await voter.open(link) for voter in voters]
        votes = [asyncio.create_task(voter.vote(page, "Yes")) for voter, page in zip(voters, pages, strict=True)]
        await asyncio.sleep(0.004 * round_number)

        revoked = await polls.v1("DELETE", f"/polls/{poll['id']}/links/{link['id']}")
        stored = await participants_of(polls, poll["id"])
        answers = await asyncio.gather(*votes)

        assert revoked.status == 204
        assert {answer.status for answer in answers} <= {303, 404}
        assert await participants_of(polls, poll["id"]) == stored


async def test_revoked_link_keeps_its_votes_and_ends_open_pages(polls: Polls) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.follow(await voter.vote(await voter.open(link), "Yes"))
    await polls.v1("DELETE", f"/polls/{poll['id']}/links")

    answers = [
        await voter.vote(page, "No"),
        await voter.post(f"/p/{link['id']}/withdraw", page.form().filled({"option": []})),
        await voter.get(f"/p/{link['id']}/withdraw"),
        await voter.get(f"/p/{link['id']}"),
        await voter.get(f"/p/{link['id']}/events"),
        await voter.get(f"/p/{link['id']}/results.svg"),
    ]

    assert [answer.status for answer in answers] == [404] * 6
    assert await participants_of(polls, poll["id"]) == 1


async def test_links_of_one_poll_do_not_open_another(polls: Polls) -> None:
    poll, other = await polls.create_poll(), await polls.create_poll(title="Other?")
    link, foreign = await create_link(polls, poll["id"]), await create_link(polls, other["id"])
    voter = Voter(polls)
    page = await voter.open(link)
    cookie = voter.jar[f"/p/{link['id']}", "pollgate_voter"]
    voter.jar[f"/p/{foreign['id']}", "pollgate_voter"] = cookie
    voter.jar[f"/p/{foreign['id']}", "pollgate_entry"] = cookie

    shown = await voter.get(f"/p/{foreign['id']}")
    voted = await voter.post(f"/p/{foreign['id']}", page.form(f"/p/{link['id']}").filled({}))

    assert (shown.status, voted.status) == (403, 404)
    assert await participants_of(polls, other["id"]) == 0
