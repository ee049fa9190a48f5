"""Who has voted is known only where the poll keeps names, shown by all that the database holds."""

import asyncpg
import pytest

from services.polls.domain.participant import Participants
from shared.runtime.crypto.encryption import read_secret
from tests.support.databases import ClonedDatabase
from tests.support.stack import PARTICIPANT_KEY, Polls

pytestmark = pytest.mark.shared_services

ADA = "ada.lovelace@example.org"
NAME = "Ada, Countess of Lovelace"


async def everything(database: ClonedDatabase) -> str:
    """Every value of every row of the polls service's tables, as text."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'polls'")
        rows = [await connection.fetch(f"SELECT t::text FROM polls.{table[0]} AS t") for table in tables]
    finally:
        await connection.close()
    return "\n".join(row[0] for found in rows for row in found)


async def test_a_poll_that_keeps_no_names_keeps_nobody(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.make(settings={"allowRevote": True})
    first = await polls.vote(poll["id"], ADA, "y", name=NAME)
    await polls.vote(poll["id"], ADA, "n", name=NAME)

    kept = await everything(database)

    assert (first.json["name"], first.json["castAt"]) == (None, None)
    assert poll["id"] in kept
    for told in (ADA, NAME, ADA.encode().hex(), NAME.encode().hex()):
        assert told not in kept


async def test_the_hash_is_keyed_and_another_in_each_poll(polls: Polls, database: ClonedDatabase) -> None:
    for _ in range(2):
        await polls.vote((await polls.make())["id"], ADA, "y")

    connection = await asyncpg.connect(database.admin_url)
    rows = await connection.fetch("SELECT poll_id, participant_hash FROM polls.ballot")
    await connection.close()

    ours = Participants(read_secret("PARTICIPANT_KEY", PARTICIPANT_KEY))
    assert len({row["participant_hash"] for row in rows}) == 2
    assert [row["participant_hash"] for row in rows] == [ours.hash(row["poll_id"], ADA) for row in rows]
    assert Participants(bytes(32)).hash(rows[0]["poll_id"], ADA) != rows[0]["participant_hash"]


async def test_a_poll_that_keeps_names_no_more_forgets_those_it_had(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.make(settings={"saveParticipantNames": True})
    await polls.vote(poll["id"], ADA, "y", name=NAME)
    assert NAME in await everything(database)

    edited = await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"saveParticipantNames": False}})

    kept = await everything(database)
    assert edited.json["effect"]["anonymizedBallots"] == 1
    assert ADA not in kept
    assert NAME not in kept
    assert (await polls.results(poll["id"]))["votes"] == 1
    assert (await polls.vote(poll["id"], ADA, "y")).status == 409


async def test_who_voted_before_names_were_kept_stays_unknown(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.make()
    await polls.vote(poll["id"], ADA, "y", name=NAME)

    await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"saveParticipantNames": True}})
    await polls.vote(poll["id"], "bob", "n", name="Bob")

    listed = (await polls.v1("GET", f"/polls/{poll['id']}/votes")).json["items"]
    assert [ballot["participant"] for ballot in listed] == ["bob"]
    assert ADA not in await everything(database)
    assert (await polls.vote(poll["id"], ADA, "y")).status == 409


async def test_a_withdrawn_ballot_leaves_no_name(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.make(settings={"saveParticipantNames": True})
    await polls.vote(poll["id"], ADA, "y", name=NAME)

    await polls.v1("DELETE", f"/polls/{poll['id']}/votes/{ADA}")

    assert ADA not in await everything(database)


async def test_a_deleted_poll_leaves_no_ballot(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.make(settings={"saveParticipantNames": True})
    await polls.vote(poll["id"], ADA, "y", name=NAME)

    await polls.v1("DELETE", f"/polls/{poll['id']}")

    assert poll["id"] not in await everything(database)
