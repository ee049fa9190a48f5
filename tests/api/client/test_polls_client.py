"""`PollsClient`: types, pages, retries and streams."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import pollgate.client
from pollgate.client import (
    ClientError,
    Conflict,
    InvalidArgument,
    Location,
    NewPoll,
    NotFound,
    Option,
    OutcomeUnknown,
    PollDeleted,
    PollsClient,
    PollSettings,
    PollUpdate,
    PreconditionFailed,
    ResultsUpdate,
    Unauthorized,
)
from pollgate.client.retries import with_retries
from tests.support.command_line import run_lossy_proxy
from tests.support.proxy import run_proxy
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

LUNCH = NewPoll(
    Location("PLAT", "PLAT-1"),
    title="Lunch?",
    options=[Option("yes", "Yes"), Option("no", "No")],
    settings=PollSettings(save_participant_names=True, allow_comment=True),
)


async def test_docstring_example_runs(polls: Polls) -> None:
    found = re.search(r"```python\n(.*?)```", pollgate.client.__doc__ or "", re.DOTALL)
    names: dict[str, Any] = {}

    exec(found[1] if found else "", names)  # noqa: S102 - our own example

    assert await names["average_of_two_votes"](polls.base, polls.token) == 4.5


async def test_replace_poll_accepts_poll_as_read_and_raises_412_for_stale_etag(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        made = await client.create_poll(LUNCH)
        read = await client.get_poll(made.id)
        written = await client.replace_poll(msgspec.structs.replace(read, title="Dinner?"), if_match=read.etag)
        with pytest.raises(PreconditionFailed) as failed:
            await client.replace_poll(read, if_match=read.etag)

    assert read == made
    assert (written.title, written.options, written.etag) == ("Dinner?", made.options, '"2"')
    assert (failed.value.status, failed.value.type) == (412, "poll-changed")


async def test_every_method_that_returns_a_poll_includes_its_etag(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        made = await client.create_poll(LUNCH)
        listed = [poll async for poll in client.list_polls()]
        events = client.stream_events(made.id)
        event = await anext(events)
        await events.aclose()
        closed = await client.close_poll(made.id, if_match=listed[0].etag)
        read = await client.get_poll(made.id)

    assert listed == [made]
    assert isinstance(event, PollUpdate)
    assert (event.poll.etag, made.etag) == ('"1"', '"1"')
    assert closed.etag == read.etag


async def test_change_poll_that_removes_votes_raises_409_unless_drop_votes(
    polls: Polls,
) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["yes"])
        with pytest.raises(Conflict) as refused:
            await client.change_poll(poll.id, {"options": [{"id": "no", "title": "No"}]})
        changed = await client.change_poll(poll.id, {"options": [{"id": "no", "title": "No"}]}, drop_votes=True)

    assert (refused.value.status, refused.value.type) == (409, "votes-would-be-dropped")
    assert changed.effect is not None
    assert (changed.effect.dropped_options, changed.effect.dropped_votes) == (["yes"], 1)


async def test_list_polls_yields_all_pages_or_up_to_limit(polls: Polls) -> None:
    items = [{"op": "create", "poll": {"template": "blank", "location": {"workspace": "PLAT", "content": "P"}}}] * 70
    async with PollsClient(polls.base, polls.token) as client:
        made = [outcome.id for _ in range(2) for outcome in (await client.batch(items)).items]

        every = [poll.id async for poll in client.list_polls(workspace="PLAT", status="open")]
        some = [poll.id async for poll in client.list_polls(120)]

    assert sorted(every) == sorted(str(poll_id) for poll_id in made)
    assert some == every[:120]


async def test_list_polls_applies_each_condition(polls: Polls) -> None:
    in_a_while = datetime(2999, 1, 1, tzinfo=UTC)
    async with PollsClient(polls.base, polls.token) as client:
        made = await client.create_poll(LUNCH)

        by_place = [poll async for poll in client.list_polls(workspace="PLAT", content="PLAT-1", with_results=True)]
        later = [poll async for poll in client.list_polls(updated_since=in_a_while)]
        closed = [poll async for poll in client.list_polls(status="closed")]

    assert [(poll.id, poll.results and poll.results.votes) for poll in by_place] == [(made.id, 0)]
    assert (later, closed) == ([], [])


async def test_batch_returns_an_outcome_per_item(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        outcomes = await client.batch([{"op": "close", "id": poll.id}, {"op": "delete", "id": "x"}])
        undone = await client.batch([{"op": "delete", "id": poll.id}, {"op": "delete", "id": "x"}], atomic=True)

    closed, failed = outcomes.items
    assert (closed.status, closed.poll and closed.poll.status) == (200, "closed")
    assert (failed.status, failed.problem and failed.problem.type) == (404, "/docs/problems/unknown-poll")
    assert (undone.committed, [item.status for item in undone.items]) == (False, [424, 404])


async def test_ballot_of_any_participant_id_is_cast_read_and_withdrawn(polls: Polls, subtests: pytest.Subtests) -> None:
    for participant in ["ada", "a/b", ".", "..", "../x", "a%2Fb?c#d", "żółw 🐢"]:
        with subtests.test(participant=participant):
            async with PollsClient(polls.base, polls.token) as client:
                poll = await client.create_poll(LUNCH)
                cast = await client.cast_ballot(poll.id, participant, ["yes"], name="A", comment="After lunch")
                read = await client.get_ballot(poll.id, participant)
                listed = [ballot async for ballot in client.list_ballots(poll.id)]
                await client.withdraw_ballot(poll.id, participant)
                results = await client.get_results(poll.id)

            assert (cast.participant, cast.option_ids, cast.name, cast.comment) == (
                participant,
                ["yes"],
                "A",
                "After lunch",
            )
            assert (read, listed) == (cast, [cast])
            assert (results.participants, results.votes) == (0, 0)


async def test_create_poll_with_lost_responses_creates_one_poll(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        proxy.lost = 2
        made = await client.create_poll(LUNCH)
        listed = [poll.id async for poll in client.list_polls()]

    assert listed == [made.id]
    assert proxy.requests.count("POST /v1/polls") == 3


@pytest.mark.parametrize("statuses", [[502, 503, 504], [429, 429]])
async def test_requests_answered_429_or_502_to_504_are_repeated(polls: Polls, statuses: list[int]) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        proxy.refusals = list(statuses)
        made = await client.create_poll(LUNCH)
        proxy.refusals = list(statuses)
        read = await client.get_poll(made.id)

    assert read == made


async def test_with_retries_repeats_idempotency_key_in_use_and_no_other_conflict() -> None:
    refusals = [Conflict("", status=409, type=each) for each in ("idempotency-key-in-use", "already-voted")]

    async def send() -> None:
        raise refusals.pop(0)

    with pytest.raises(Conflict) as refused:
        await with_retries(send)

    assert (refused.value.type, refusals) == ("already-voted", [])


async def test_500_or_a_long_retry_after_is_not_repeated(polls: Polls, subtests: pytest.Subtests) -> None:
    for status, retry_after in [(500, "0"), (503, "3600"), (429, "3600")]:
        with subtests.test(status=status, retry_after=retry_after):
            async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
                proxy.refusals, proxy.retry_after = [status], retry_after
                with pytest.raises(ClientError, match=f"the polls service answered {status}"):
                    await client.create_poll(LUNCH)

            assert len(proxy.requests) == 1


async def test_cast_ballot_with_lost_response_casts_one_ballot(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        proxy.lost = 1
        cast = await client.cast_ballot(poll.id, "ada", ["yes"], name="Ada")
        results = await client.get_results(poll.id)

    assert (cast.option_ids, cast.name) == (["yes"], "Ada")
    assert results.votes == 1


async def test_cast_ballot_with_lost_response_after_another_ballot_raises_409(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["no"])
        proxy.lost = 1
        with pytest.raises(Conflict) as refused:
            await client.cast_ballot(poll.id, "ada", ["yes"])

    assert refused.value.type == "already-voted"


async def test_cast_secret_ballot_with_lost_response_raises_outcome_unknown(polls: Polls) -> None:
    secret = msgspec.structs.replace(LUNCH, settings=PollSettings())
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(secret)
        proxy.lost = 1
        with pytest.raises(OutcomeUnknown, match="the participant has voted, with this ballot or with an earlier one"):
            await client.cast_ballot(poll.id, "ada", ["yes"])
        read = await client.get_ballot(poll.id, "ada")

    assert (read.option_ids, read.comment) == (None, None)


async def test_cast_ballot_twice_with_the_same_options_raises_409(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["no"])
        with pytest.raises(Conflict) as refused:
            await client.cast_ballot(poll.id, "ada", ["no"])

    assert refused.value.type == "already-voted"


async def test_delete_of_missing_resource_raises_404_unless_a_response_was_lost(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["no"])
        proxy.lost = 1
        await client.withdraw_ballot(poll.id, "ada")
        with pytest.raises(NotFound, match="no ballot in this poll"):
            await client.withdraw_ballot(poll.id, "ada")
        proxy.lost = 1
        await client.delete_poll(poll.id)
        with pytest.raises(NotFound, match="answered 404"):
            await client.delete_poll(poll.id)


async def test_change_poll_with_lost_response_raises_outcome_unknown_and_is_not_repeated(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        proxy.lost = 1
        with pytest.raises(OutcomeUnknown, match="the poll may have been changed") as unknown:
            await client.change_poll(poll.id, {"title": "Dinner?"})
        read = await client.get_poll(poll.id)

    assert (read.title, read.etag) == ("Dinner?", '"2"')
    assert (unknown.value.status, unknown.value.is_repeatable) == (None, False)


async def test_create_stream_ticket_returns_a_ticket_that_opens_the_events(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        ticket = await client.create_stream_ticket(poll.id)

    async with polls.session.get(f"{polls.base}/v1/polls/{poll.id}/events?ticket={ticket.ticket}") as response:
        assert (response.status, ticket.expires_in) == (200, 30)


async def test_stream_events_yields_state_and_changes_until_the_poll_is_deleted(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        events = client.stream_events(poll.id)

        first, second = await anext(events), await anext(events)
        await client.cast_ballot(poll.id, "ada", ["yes"])
        third = await anext(events)
        await client.delete_poll(poll.id)
        rest = [event async for event in events]

    assert isinstance(first, PollUpdate)
    assert first.poll.title == "Lunch?"
    assert isinstance(second, ResultsUpdate)
    assert isinstance(third, ResultsUpdate)
    assert (second.results.votes, third.results.votes) == (0, 1)
    assert rest == [PollDeleted()]


async def test_stream_events_reconnects_and_yields_missed_changes(polls: Polls) -> None:
    async with (
        run_proxy(polls.base) as proxy,
        PollsClient(proxy.url(), polls.token) as client,
        PollsClient(polls.base, polls.token) as voter,
    ):
        poll = await voter.create_poll(LUNCH)
        events = client.stream_events(poll.id)
        await anext(events)
        await anext(events)

        proxy.set_mode("refuse")
        await voter.cast_ballot(poll.id, "ada", ["yes"])
        proxy.set_mode("ok")
        event = await anext(events)
        await events.aclose()

    assert isinstance(event, ResultsUpdate)
    assert event.results.votes == 1


async def test_stream_events_with_revoked_token_raises_401(polls: Polls, authority: Authority) -> None:
    issued = await authority.issue()
    async with PollsClient(polls.base, issued["token"]) as client:
        poll = await client.create_poll(LUNCH)
        events = client.stream_events(poll.id)
        await anext(events)
        await anext(events)

        await authority.revoke(issued["id"])

        with pytest.raises(Unauthorized, match="the polls service answered 401") as refused:
            await anext(events)
        assert refused.value.status == 401


async def test_invalid_poll_id_raises_invalid_argument_and_is_not_sent(polls: Polls, subtests: pytest.Subtests) -> None:
    for poll_id in ["", "..", "pgt_" + "A" * 38]:
        with subtests.test(poll_id=poll_id):
            async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
                with pytest.raises(InvalidArgument, match=r"^poll_id: this is .*not an id$"):
                    await client.get_poll(poll_id)

            assert proxy.requests == []


async def test_client_outside_block_raises_runtime_error(polls: Polls) -> None:
    client = PollsClient(polls.base, polls.token)

    with pytest.raises(RuntimeError, match=r"`async with PollsClient\(…\) as client:`"):
        await client.list_templates()
    async with client:
        await client.list_templates()
    with pytest.raises(RuntimeError, match="use the client inside its block"):
        await client.list_templates()
