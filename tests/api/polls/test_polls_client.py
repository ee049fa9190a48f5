"""`PollsClient`: typed, in pages, and once also where answers are lost."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import pollgate.client.polls
from pollgate.client.errors import Sentence
from pollgate.client.poll_models import Location, NewPoll, Option, PollDeleted, PollIs, ResultsAre, Settings
from pollgate.client.polls import PollsClient
from pollgate.client.retries import sent_again
from pollgate.client.transport import NoAnswer, Refused
from tests.support.command_line import forgetful_proxy
from tests.support.proxy import proxied
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

LUNCH = NewPoll(
    Location("PLAT", "PLAT-1"),
    title="Lunch?",
    options=[Option("yes", "Yes"), Option("no", "No")],
    settings=Settings(save_participant_names=True, allow_comment=True),
)


async def test_the_example_in_its_docstring_runs(polls: Polls) -> None:
    found = re.search(r"```python\n(.*?)```", pollgate.client.polls.__doc__ or "", re.DOTALL)
    names: dict[str, Any] = {}

    exec(found[1] if found else "", names)  # noqa: S102 - our own example

    assert await names["ask"](polls.base, polls.token) == 4.5


async def test_a_poll_is_made_read_and_written_back_with_other_values(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        made = await client.create_poll(LUNCH)
        read = await client.poll(made.id)
        written = await client.replace_poll(msgspec.structs.replace(read, title="Dinner?"), if_match=read.etag)
        with pytest.raises(Refused) as refused:
            await client.replace_poll(read, if_match=read.etag)

    assert read == made
    assert (written.title, written.options, written.etag) == ("Dinner?", made.options, '"2"')
    assert (refused.value.status, refused.value.kind) == (412, "poll-changed")


async def test_an_etag_comes_with_a_poll_wherever_it_is_told(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        made = await client.create_poll(LUNCH)
        listed = [poll async for poll in client.polls()]
        events = client.events(made.id)
        told = await anext(events)
        await events.aclose()
        closed = await client.close_poll(made.id, if_match=listed[0].etag)
        read = await client.poll(made.id)

    assert listed == [made]
    assert isinstance(told, PollIs)
    assert (told.poll.etag, made.etag) == ('"1"', '"1"')
    assert closed.etag == read.etag


async def test_what_an_edit_drops_is_told(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["yes"])
        with pytest.raises(Refused) as refused:
            await client.change_poll(poll.id, {"options": [{"id": "no", "title": "No"}]})
        changed = await client.change_poll(poll.id, {"options": [{"id": "no", "title": "No"}]}, drop_votes=True)

    assert (refused.value.status, refused.value.kind) == (409, "votes-would-be-dropped")
    assert changed.effect is not None
    assert (changed.effect.dropped_options, changed.effect.dropped_votes) == (["yes"], 1)


async def test_polls_come_page_after_page(polls: Polls) -> None:
    items = [{"op": "create", "poll": {"template": "blank", "location": {"workspace": "PLAT", "content": "P"}}}] * 70
    async with PollsClient(polls.base, polls.token) as client:
        made = [outcome.id for _ in range(2) for outcome in (await client.batch(items)).items]

        every = [poll.id async for poll in client.polls(workspace="PLAT", status="open")]
        some = [poll.id async for poll in client.polls(120)]

    assert sorted(every) == sorted(str(poll_id) for poll_id in made)
    assert some == every[:120]


async def test_polls_are_asked_for_by_conditions(polls: Polls) -> None:
    in_a_while = datetime(2999, 1, 1, tzinfo=UTC)
    async with PollsClient(polls.base, polls.token) as client:
        made = await client.create_poll(LUNCH)

        by_place = [poll async for poll in client.polls(workspace="PLAT", content="PLAT-1", with_results=True)]
        later = [poll async for poll in client.polls(updated_since=in_a_while)]
        closed = [poll async for poll in client.polls(status="closed")]

    assert [(poll.id, poll.results and poll.results.votes) for poll in by_place] == [(made.id, 0)]
    assert (later, closed) == ([], [])


async def test_a_batch_tells_what_became_of_each_item(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        outcomes = await client.batch([{"op": "close", "id": poll.id}, {"op": "delete", "id": "x"}])
        undone = await client.batch([{"op": "delete", "id": poll.id}, {"op": "delete", "id": "x"}], atomic=True)

    closed, failed = outcomes.items
    assert (closed.status, closed.poll and closed.poll.status) == (200, "closed")
    assert (failed.status, failed.problem and failed.problem.type) == (404, "/docs/problems/unknown-poll")
    assert (undone.committed, [item.status for item in undone.items]) == (False, [424, 404])


async def test_a_ballot_is_cast_read_and_withdrawn_for_whoever_it_is(polls: Polls, subtests: pytest.Subtests) -> None:
    for participant in ["ada", "a/b", ".", "..", "../x", "a%2Fb?c#d", "żółw 🐢"]:
        with subtests.test(participant=participant):
            async with PollsClient(polls.base, polls.token) as client:
                poll = await client.create_poll(LUNCH)
                cast = await client.cast_ballot(poll.id, participant, ["yes"], name="A", comment="After lunch")
                read = await client.ballot(poll.id, participant)
                listed = [ballot async for ballot in client.ballots(poll.id)]
                await client.withdraw_ballot(poll.id, participant)
                results = await client.results(poll.id)

            assert (cast.participant, cast.option_ids, cast.name, cast.comment) == (
                participant,
                ["yes"],
                "A",
                "After lunch",
            )
            assert (read, listed) == (cast, [cast])
            assert (results.participants, results.votes) == (0, 0)


async def test_a_poll_whose_answer_is_lost_is_made_once(polls: Polls) -> None:
    async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        proxy.lost = 2
        made = await client.create_poll(LUNCH)
        listed = [poll.id async for poll in client.polls()]

    assert listed == [made.id]
    assert proxy.asked.count("POST /v1/polls") == 3


@pytest.mark.parametrize("statuses", [[502, 503, 504], [429, 429]])
async def test_a_service_that_is_busy_is_asked_again(polls: Polls, statuses: list[int]) -> None:
    async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        proxy.turned_away = list(statuses)
        made = await client.create_poll(LUNCH)
        proxy.turned_away = list(statuses)
        read = await client.poll(made.id)

    assert read == made


async def test_what_is_still_worked_on_is_asked_for_again_and_what_is_refused_is_not() -> None:
    refusals = [Refused("", 409, "idempotency-key-in-use"), Refused("", 409, "already-voted")]

    async def send() -> None:
        raise refusals.pop(0)

    with pytest.raises(Refused) as refused:
        await sent_again(send)

    assert (refused.value.kind, refusals) == ("already-voted", [])


async def test_what_would_take_too_long_or_help_nothing_is_not_tried_again(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    for status, retry_after in [(500, "0"), (503, "3600"), (429, "3600")]:
        with subtests.test(status=status, retry_after=retry_after):
            async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
                proxy.turned_away, proxy.retry_after = [status], retry_after
                with pytest.raises(Sentence, match=f"the polls service answered {status}"):
                    await client.create_poll(LUNCH)

            assert len(proxy.asked) == 1


async def test_a_ballot_whose_answer_is_lost_is_cast_once(polls: Polls) -> None:
    async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        proxy.lost = 1
        cast = await client.cast_ballot(poll.id, "ada", ["yes"], name="Ada")
        results = await client.results(poll.id)

    assert (cast.option_ids, cast.name) == (["yes"], "Ada")
    assert results.votes == 1


async def test_a_ballot_is_refused_where_another_one_was_cast_before_the_answer_was_lost(polls: Polls) -> None:
    async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["no"])
        proxy.lost = 1
        with pytest.raises(Refused) as refused:
            await client.cast_ballot(poll.id, "ada", ["yes"])

    assert refused.value.kind == "already-voted"


async def test_a_second_ballot_is_refused_also_where_it_is_the_same(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["no"])
        with pytest.raises(Refused) as refused:
            await client.cast_ballot(poll.id, "ada", ["no"])

    assert refused.value.kind == "already-voted"


async def test_what_is_deleted_may_be_gone_where_an_answer_was_lost_and_only_there(polls: Polls) -> None:
    async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        await client.cast_ballot(poll.id, "ada", ["no"])
        proxy.lost = 1
        await client.withdraw_ballot(poll.id, "ada")
        with pytest.raises(Refused, match="no ballot in this poll"):
            await client.withdraw_ballot(poll.id, "ada")
        proxy.lost = 1
        await client.delete_poll(poll.id)
        with pytest.raises(Refused, match="answered 404"):
            await client.delete_poll(poll.id)


async def test_an_edit_whose_answer_is_lost_is_not_sent_again(polls: Polls) -> None:
    async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        proxy.lost = 1
        with pytest.raises(NoAnswer, match="may be edited all the same: look before you try again"):
            await client.change_poll(poll.id, {"title": "Dinner?"})
        read = await client.poll(poll.id)

    assert (read.title, read.etag) == ("Dinner?", '"2"')


async def test_events_tell_how_a_poll_is_and_what_becomes_of_it_until_it_is_gone(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(LUNCH)
        events = client.events(poll.id)

        first, second = await anext(events), await anext(events)
        await client.cast_ballot(poll.id, "ada", ["yes"])
        third = await anext(events)
        await client.delete_poll(poll.id)
        rest = [event async for event in events]

    assert isinstance(first, PollIs)
    assert first.poll.title == "Lunch?"
    assert isinstance(second, ResultsAre)
    assert isinstance(third, ResultsAre)
    assert (second.results.votes, third.results.votes) == (0, 1)
    assert rest == [PollDeleted()]


async def test_events_go_on_over_another_connection_with_what_was_missed(polls: Polls) -> None:
    async with (
        proxied(polls.base) as proxy,
        PollsClient(proxy.url(), polls.token) as client,
        PollsClient(polls.base, polls.token) as voter,
    ):
        poll = await voter.create_poll(LUNCH)
        events = client.events(poll.id)
        await anext(events)
        await anext(events)

        proxy.become("refuse")
        await voter.cast_ballot(poll.id, "ada", ["yes"])
        proxy.become("ok")
        told = await anext(events)
        await events.aclose()

    assert isinstance(told, ResultsAre)
    assert told.results.votes == 1


async def test_events_end_with_a_sentence_where_the_token_is_revoked(polls: Polls, authority: Authority) -> None:
    issued = await authority.issue()
    async with PollsClient(polls.base, issued["token"]) as client:
        poll = await client.create_poll(LUNCH)
        events = client.events(poll.id)
        await anext(events)
        await anext(events)

        await authority.revoke(issued["id"])

        with pytest.raises(Refused, match="the events have ended: the polls service answered 401") as refused:
            await anext(events)
        assert refused.value.status == 401


async def test_what_is_no_id_is_never_sent(polls: Polls, subtests: pytest.Subtests) -> None:
    for poll_id in ["", "..", "pgt_" + "A" * 38]:
        with subtests.test(poll_id=poll_id):
            async with forgetful_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
                with pytest.raises(
                    Sentence, match="not an id; the list commands, as `pollgate poll list`, show the ids"
                ):
                    await client.poll(poll_id)

            assert proxy.asked == []


async def test_a_client_says_that_it_works_within_its_block_alone(polls: Polls) -> None:
    client = PollsClient(polls.base, polls.token)

    with pytest.raises(RuntimeError, match=r"`async with PollsClient\(…\) as polls:`"):
        await client.templates()
    async with client:
        await client.templates()
    with pytest.raises(RuntimeError, match="works within its block alone"):
        await client.templates()
