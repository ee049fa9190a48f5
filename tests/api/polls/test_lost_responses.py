"""Ballots whose responses are lost: a client that repeats its request knows what was accepted."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.voters import Poll, Voters
from tests.support.command_line import run_lossy_proxy
from tests.support.stack import Polls


@pytest.mark.parametrize("settings", [{}, {"saveParticipantNames": True}, {"allowRevote": True}])
async def test_ballot_whose_response_was_lost_counts_once(polls: Polls, settings: dict[str, Any]) -> None:
    created = await polls.create_poll(settings=settings)
    poll = Poll(created["id"], ["y", "n"], is_multiple=False, allows_revote="allowRevote" in settings)

    async with run_lossy_proxy(polls.base) as proxy:
        proxy.lost = 3
        voters = Voters([poll], [urlsplit(proxy.url).port or 0], polls.token, seed=1)
        await voters.vote(1, lambda: voters.casts >= 5)

    results = await polls.get_results(poll.id)
    assert voters.lost == 3
    assert results["participants"] == voters.tally(poll).participants
