"""`PollsClient`: voting links are created, listed and revoked."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web
from rich.pretty import pretty_repr

from pollgate.client import (
    Conflict,
    InvalidArgument,
    Invitation,
    Location,
    NewPoll,
    NotFound,
    OutcomeUnknown,
    PollsClient,
    PollSettings,
    UnexpectedResponse,
    UnprocessableContent,
)
from services.polls.operations import links as operations
from shared.contract.token import VOTING_LINK, is_well_formed, mint
from shared.runtime.process.serve import listen
from tests.support.command_line import run_lossy_proxy
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import HOST, Polls

pytestmark = pytest.mark.shared_services

STARS = NewPoll(Location("PLAT", "PLAT-1"), template="stars", settings=PollSettings(save_participant_names=True))
LATER = datetime(2999, 1, 1, tzinfo=UTC)


async def test_create_shared_link_returns_its_address_once(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        created = await client.create_shared_link(poll.id, label="Team page", max_participants=20, expires_at=LATER)
        unlimited = await client.create_shared_link(poll.id, max_per_address=None)
        shown = await client.get_link(poll.id, created.id)

    assert is_well_formed(created.url.rpartition("/p/")[2], VOTING_LINK)
    assert (created.kind, created.label, created.expires_at) == ("shared", "Team page", LATER)
    assert (created.max_participants, created.max_per_address, created.participants) == (20, 100, 0)
    assert (unlimited.max_participants, unlimited.max_per_address) == (None, None)
    assert msgspec.to_builtins(shown) == {k: v for k, v in msgspec.to_builtins(created).items() if k != "url"}


async def test_create_personal_link_returns_its_participant(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        created = await client.create_personal_link(poll.id, "ada", name="Ada Lovelace")

    assert (created.kind, created.participant, created.name) == ("personal", "ada", "Ada Lovelace")
    assert (created.label, created.max_per_address, created.participants) == (None, None, None)


async def test_secret_of_new_link_is_in_no_representation(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        created = await client.create_shared_link(poll.id)

    for text in (repr(created), str([created]), f"{created}", pretty_repr(created)):
        assert find_secrets(text) == []
        assert "url='…'" in text
        assert created.hint in text


async def test_create_personal_links_yields_a_link_per_participant_in_order(polls: Polls) -> None:
    people = [Invitation(f"p{number}", f"Person {number}") for number in range(1500)]
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(STARS)
        created = [link async for link in client.create_personal_links(poll.id, [*people, "ada"], expires_at=LATER)]
        listed = [link.id async for link in client.list_links(poll.id)]
        none = [link async for link in client.create_personal_links(poll.id, [])]

    assert [(link.participant, link.name) for link in created] == [
        *((each.participant, each.name) for each in people),
        ("ada", None),
    ]
    assert {link.expires_at for link in created} == {LATER}
    assert sorted(link.id for link in created) == sorted(listed)
    assert proxy.requests.count(f"POST /v1/polls/{poll.id}/links:batch") == 2
    assert none == []


async def test_create_personal_links_with_long_names_fits_batches_into_bodies(polls: Polls) -> None:
    people = [Invitation(f"{number:03}".rjust(255, "p"), "名" * 255) for number in range(300)]
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        created = [link async for link in client.create_personal_links(poll.id, people)]

    assert [(link.participant, link.name) for link in created] == [(each.participant, each.name) for each in people]


async def test_create_personal_links_refused_in_second_batch_raises_422_with_index_after_first(polls: Polls) -> None:
    people = [*(Invitation(f"p{number}") for number in range(1003)), Invitation("b\tb"), Invitation("bob", " ")]
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        creation = client.create_personal_links(poll.id, people)
        created = [await anext(creation) for _ in range(1000)]
        with pytest.raises(UnprocessableContent) as refused:
            await anext(creation)
        listed = [link.id async for link in client.list_links(poll.id)]

    assert sorted(link.id for link in created) == sorted(listed)
    assert sorted(error.argument for error in refused.value.errors) == [
        "participants[1003].participant",
        "participants[1004].name",
    ]


async def test_invalid_participants_raise_before_anything_is_sent(polls: Polls, subtests: pytest.Subtests) -> None:
    secret = mint("pgt")
    people = [f"p{number}" for number in range(1001)]
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        for participants, message in (
            ([*people, "p3"], r"^participants\[1001\]: this is the participant of participants\[3\]; each gets one"),
            (["zoe\u0308", "zo\u00eb"], r"^participants\[1\]: this is the participant of participants\[0\]"),
            (["ada", ""], r"^participants\[1\].participant: this may not be empty$"),
            ([secret], r"^participants\[0\].participant: this is a secret"),
            ([Invitation("ada", "\ud800")], r"^participants\[0\].name: this is not text"),
        ):
            with subtests.test(message), pytest.raises(InvalidArgument, match=message) as refused:
                client.create_personal_links("x", participants)
            assert secret not in str(refused.value)
        with pytest.raises(InvalidArgument, match=r"^expires_at: this is a naive datetime"):
            client.create_personal_links("x", ["ada"], expires_at=datetime(2999, 1, 1))  # noqa: DTZ001
        with pytest.raises(InvalidArgument, match=r"^link_id: this is a secret, not an id"):
            await client.get_link("x", mint("pgl"))
        with pytest.raises(TypeError, match=r"^participants must be a list, not str: write \[participant\]$"):
            client.create_personal_links("x", "ada")
        with pytest.raises(TypeError, match="contains int"):
            client.create_personal_links("x", [1])  # type: ignore[list-item]

    assert proxy.requests == []


async def test_refused_link_raises_422_with_arguments(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        with pytest.raises(UnprocessableContent) as refused:
            await client.create_shared_link(poll.id, max_participants=0, max_per_address=-1, label=" ")
        with pytest.raises(UnprocessableContent, match="expires_at: this time is over; give a later one, or None for"):
            await client.create_personal_link(poll.id, "ada", expires_at=datetime.now(UTC) - timedelta(days=1))

    errors = {error.argument: error.detail for error in refused.value.errors}
    assert errors.keys() == {"label", "max_participants", "max_per_address"}
    assert errors["max_participants"] == "expected a number from 1 to 10,000,000, or None for no limit"


async def test_too_many_links_raise_409(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_LINKS_PER_POLL", 1)
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        await client.create_shared_link(poll.id)
        with pytest.raises(Conflict) as refused:
            await client.create_shared_link(poll.id)

    assert refused.value.type == "too-many-links"


async def test_create_link_with_lost_response_raises_outcome_unknown_and_is_not_repeated(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(STARS)
        proxy.lost = 3
        with pytest.raises(OutcomeUnknown, match="a link may have been created, with an address that is lost"):
            await client.create_shared_link(poll.id)
        with pytest.raises(OutcomeUnknown, match="a link may have been created") as unknown:
            await client.create_personal_link(poll.id, "ada")
        with pytest.raises(OutcomeUnknown, match="up to 2 links may have been created, with addresses that are lost"):
            await anext(client.create_personal_links(poll.id, ["bob", "cleo"]))
        listed = [link.participant async for link in client.list_links(poll.id)]

    assert not unknown.value.is_repeatable
    assert listed[:2] == [None, "ada"]
    assert sorted(map(str, listed[2:])) == ["bob", "cleo"]


async def test_create_link_after_429_is_repeated(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(STARS)
        proxy.refusals = [429]
        await client.create_shared_link(poll.id)
        listed = [link async for link in client.list_links(poll.id)]

    assert len(listed) == 1


async def test_list_links_applies_each_condition_and_limit(polls: Polls, subtests: pytest.Subtests) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        shared = await client.create_shared_link(poll.id)
        ada = await client.create_personal_link(poll.id, "ada")
        bob = await client.create_personal_link(poll.id, "bob")
        await client.revoke_link(poll.id, bob.id)

        for found, expected in (
            (client.list_links(poll.id), [shared, ada, bob]),
            (client.list_links(poll.id, 2), [shared, ada]),
            (client.list_links(poll.id, kind="personal"), [ada, bob]),
            (client.list_links(poll.id, status="revoked"), [bob]),
            (client.list_links(poll.id, participant="ada"), [ada]),
            (client.list_links(poll.id, created_by="tok_other"), []),
        ):
            with subtests.test(expected=[link.participant for link in expected]):
                assert [link.id async for link in found] == [link.id for link in expected]


async def test_revoke_link_is_harmless_again_and_raises_404_for_unknown_one(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(STARS)
        link = await client.create_shared_link(poll.id)
        proxy.lost = 1
        await client.revoke_link(poll.id, link.id)
        await client.revoke_link(poll.id, link.id)
        shown = await client.get_link(poll.id, link.id)
        with pytest.raises(NotFound) as unknown:
            await client.revoke_link(poll.id, poll.id)

    assert shown.status == "revoked"
    assert shown.revoked_at is not None
    assert unknown.value.type == "unknown-link"


async def test_revoke_links_returns_how_many_were_active(polls: Polls) -> None:
    async with PollsClient(polls.base, polls.token) as client:
        poll = await client.create_poll(STARS)
        await client.create_shared_link(poll.id)
        async for _ in client.create_personal_links(poll.id, ["ada", "bob", "cleo"]):
            pass

        revoked = [
            await client.revoke_links(poll.id, participant="ada"),
            await client.revoke_links(poll.id, kind="personal"),
            await client.revoke_links(poll.id, created_by="tok_other"),
            await client.revoke_links(poll.id),
            await client.revoke_links(poll.id),
        ]

    assert revoked == [1, 2, 0, 1, 0]


async def test_revoke_links_with_lost_response_raises_outcome_unknown_and_is_repeatable(polls: Polls) -> None:
    async with run_lossy_proxy(polls.base) as proxy, PollsClient(proxy.url, polls.token) as client:
        poll = await client.create_poll(STARS)
        await client.create_shared_link(poll.id)
        proxy.lost = 1
        with pytest.raises(OutcomeUnknown, match="the links may have been revoked") as unknown:
            await client.revoke_links(poll.id)
        again = await client.revoke_links(poll.id)

    assert unknown.value.is_repeatable
    assert again == 0


async def test_revoke_links_that_another_server_answers_raises_unexpected_response() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with listen(app, HOST, 0) as port, PollsClient(f"http://{HOST}:{port}", mint("pgt")) as client:
        with pytest.raises(UnexpectedResponse):
            await client.revoke_links("x")
