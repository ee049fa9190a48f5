"""`pollgate poll audit`: the audit trail of a poll."""

import pytest

from tests.support.command_line import CommandLine
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services


@pytest.fixture
async def poll_id(polls: Polls) -> str:
    """Create a poll with three records. Return its id."""
    poll_id = str((await polls.create_poll())["id"])
    await polls.v1("PATCH", f"/polls/{poll_id}", {"title": "Dinner?"})
    await polls.v1("DELETE", f"/polls/{poll_id}")
    return poll_id


async def test_poll_audit_lists_records_of_deleted_poll(integrator: CommandLine, poll_id: str) -> None:
    table = await integrator("poll", "audit", poll_id)
    records = await integrator("poll", "audit", poll_id, "--json")

    assert 'title: "Lunch?" → "Dinner?"' in table.out
    assert [record["action"] for record in records.json] == ["poll.create", "poll.change", "poll.delete"]


async def test_poll_audit_verifies_trail_against_earlier_head(
    integrator: CommandLine, poll_id: str, database: ClonedDatabase
) -> None:
    verified = await integrator("poll", "audit", poll_id, "--verify")
    head = (await integrator("poll", "audit", poll_id, "--verify", "--json")).json["head"]
    again = await integrator("poll", "audit", poll_id, "--head", head)
    await fetch(database.admin_url, "DELETE FROM polls.audit_log WHERE seq = 3 RETURNING seq")
    truncated = await integrator("poll", "audit", poll_id, "--head", head)
    await fetch(database.admin_url, "UPDATE polls.audit_log SET after = '{}' WHERE seq = 2 RETURNING seq")
    changed = await integrator("poll", "audit", poll_id, "--verify")

    assert verified.out == f"The audit trail is intact: 3 records. Head: {head}\n"
    assert again == verified
    assert (truncated.status, "was truncated" in truncated.err) == (1, True)
    assert (changed.status, "record 2 has been changed" in changed.err) == (1, True)


async def test_poll_audit_of_unknown_poll_exits_1(integrator: CommandLine) -> None:
    unknown = await integrator("poll", "audit", "ee9107b5-5041-4c15-8c76-f14404fa1fad")

    assert (unknown.status, "answered 404" in unknown.err) == (1, True)
