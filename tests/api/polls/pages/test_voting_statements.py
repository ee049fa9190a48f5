"""How many statements a page of a voting link takes: one for what it shows, one for what it changes."""

import pytest

from tests.support.stack import Polls
from tests.support.statements import count_statements
from tests.support.voter import Voter, create_link, path_of

pytestmark = pytest.mark.shared_services


async def test_opening_a_link_runs_one_statement_and_its_page_another(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)

    async with count_statements(polls) as opening:
        opened = await voter.get(path_of(link))
    async with count_statements(polls) as first:
        await voter.follow(opened)
    async with count_statements(polls) as again:
        await voter.get(f"/p/{link['id']}?results=pie")

    assert opening == {"open_link": 1}
    assert first == again == {"select_link_voters": 1}


async def test_vote_by_a_link_runs_two_statements(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])
    voter = Voter(polls)
    page = await voter.open(link)

    async with count_statements(polls) as counted:
        await voter.vote(page, "Yes")

    assert counted == {"select_link_voters": 1, "cast_ballot_by_link": 1}


async def test_image_of_results_runs_one_statement(polls: Polls) -> None:
    poll = await polls.create_poll()
    link = await create_link(polls, poll["id"])

    async with count_statements(polls) as counted:
        await polls("GET", f"/p/{link['id']}/results.svg")

    assert counted == {"select_shared_poll": 1}
