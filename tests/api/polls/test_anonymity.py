"""The database stores who has voted only for polls that keep names."""

import asyncpg
import pytest

from services.polls.domain.participant import Participants
from shared.runtime.crypto.encryption import read_secret
from tests.support.databases import ClonedDatabase
from tests.support.stack import PARTICIPANT_KEY, Polls

pytestmark = pytest.mark.shared_services

ADA = "ada.lovelace@example.org"
NAME = "Ada, Countess of Lovelace"


async def all_rows(database: ClonedDatabase) -> str:
    """Return every row of every table of the polls service as text."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'polls'")
        rows = [await connection.fetch(f"SELECT t::text FROM polls.{table[0]} AS t") for table in tables]
    finally:
        await connection.close()
    return "\n".join(row[0] for found in rows for row in found)


async def test_vote_in_poll_without_names_stores_neither_participant_nor_name(
    polls: Polls, database: ClonedDatabase
) -> None:
    poll = await polls.create_poll(settings={"allowRevote": True})
    first = await polls.vote(poll["id"], ADA, "y", name=NAME)
    await polls.vote(poll["id"], ADA, "n", name=NAME)

    stored = await all_rows(database)

    assert (first.json["name"], first.json["castAt"]) == (None, None)
    assert poll["id"] in stored
    for secret in (ADA, NAME, ADA.encode().hex(), NAME.encode().hex()):
        assert secret not in stored


async def test_participant_hash_depends_on_key_and_poll(polls: Polls, database: ClonedDatabase) -> None:
    for _ in range(2):
        await polls.vote((await polls.create_poll())["id"], ADA, "y")

    connection = await asyncpg.connect(database.admin_url)
    rows = await connection.fetch("SELECT poll_id, participant_hash FROM polls.ballot")
    await connection.close()

    participants = Participants(read_secret("PARTICIPANT_KEY", PARTICIPANT_KEY))
    assert len({row["participant_hash"] for row in rows}) == 2
    assert [row["participant_hash"] for row in rows] == [participants.hashes(row["poll_id"], ADA)[0] for row in rows]
    assert Participants(bytes(32)).hashes(rows[0]["poll_id"], ADA)[0] != rows[0]["participant_hash"]


async def test_poll_that_stops_keeping_names_erases_stored_names(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    await polls.vote(poll["id"], ADA, "y", name=NAME)
    assert NAME in await all_rows(database)

    edited = await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"saveParticipantNames": False}})

    stored = await all_rows(database)
    assert edited.json["effect"]["anonymizedBallots"] == 1
    assert ADA not in stored
    assert NAME not in stored
    assert (await polls.get_results(poll["id"]))["votes"] == 1
    assert (await polls.vote(poll["id"], ADA, "y")).status == 409


async def test_poll_that_starts_keeping_names_does_not_learn_earlier_participants(
    polls: Polls, database: ClonedDatabase
) -> None:
    poll = await polls.create_poll()
    await polls.vote(poll["id"], ADA, "y", name=NAME)

    await polls.v1("PATCH", f"/polls/{poll['id']}", {"settings": {"saveParticipantNames": True}}, allow="saveNames")
    await polls.vote(poll["id"], "bob", "n", name="Bob")

    listed = (await polls.v1("GET", f"/polls/{poll['id']}/votes")).json["items"]
    assert [ballot["participant"] for ballot in listed] == ["bob"]
    assert ADA not in await all_rows(database)
    assert (await polls.vote(poll["id"], ADA, "y")).status == 409


async def test_withdrawn_ballot_leaves_no_participant_in_database(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    await polls.vote(poll["id"], ADA, "y", name=NAME)

    await polls.v1("DELETE", f"/polls/{poll['id']}/votes/{ADA}")

    assert ADA not in await all_rows(database)


async def test_deleted_poll_leaves_only_its_audit_trail_in_database(polls: Polls, database: ClonedDatabase) -> None:
    poll = await polls.create_poll(settings={"saveParticipantNames": True})
    await polls.vote(poll["id"], ADA, "y", name=NAME)

    await polls.v1("DELETE", f"/polls/{poll['id']}")

    stored = [row for row in (await all_rows(database)).splitlines() if poll["id"] in row]
    assert len(stored) == 2
    assert all("poll.create" in row or "poll.delete" in row for row in stored)
    assert not any(ADA in row or NAME in row for row in stored)
