"""The authority verifies its audit log: changed, removed and, with an earlier head, cut off records are reported."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from services.token_authority.domain.actor import SYSTEM
from services.token_authority.domain.audit import AuditEntry, records
from services.token_authority.domain.audit_chain import ChainReport, Head
from services.token_authority.operations.audit_chain import CHUNK, verify_chain
from shared.contract.audit import NO_HASH, column_values
from shared.runtime.postgres.database import Database
from shared.runtime.postgres.database import database as connected
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.processor_time import TRIES
from tests.support.stack import Answer, Authority

pytestmark = pytest.mark.shared_services

MOST_S = 0.05
"""The most processor time that a step of the event loop may take."""
EMPTY = {"seq": 0, "hash": NO_HASH}


async def verify(authority: Authority, body: Any = None) -> Answer:
    return await authority.manage("POST", "/v1/audit/verify", body)


async def read_head(authority: Authority) -> dict[str, Any]:
    """Return the last record as a head."""
    last = (await authority.manage("GET", "/v1/audit?newest_first=true&limit=1")).json["items"][0]
    return {"seq": last["seq"], "hash": last["hash"]}


async def tamper(database: ClonedDatabase, statement: str) -> None:
    """Run statements as the owner of the database."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def tokens(authority: Authority) -> None:
    """Issue tokens, so that the log has records to change."""
    for _ in range(5):
        await authority.issue()


@pytest.mark.usefixtures("tokens")
async def test_verification_of_intact_log_returns_its_head(authority: Authority) -> None:
    head = await read_head(authority)

    answer = await verify(authority)

    nothing = {"broken": None, "has_earlier_head": None}
    assert answer.status == 200
    assert answer.json == {"records": head["seq"], "head": head, "intact": True, **nothing}


TAMPERED = [
    ("UPDATE token_authority.audit_log SET actor_id = 'adm_other' WHERE seq = 4", 3, "record 4 has been changed"),
    ("UPDATE token_authority.audit_log SET after = '[]' WHERE seq = 4", 3, "record 4 has been changed"),
    ("UPDATE token_authority.audit_log SET after = '{\"x\": 1e999}' WHERE seq = 4", 3, "record 4 cannot be read"),
    (
        f"UPDATE token_authority.audit_log SET after = '{'[' * 3000}{']' * 3000}' WHERE seq = 4",
        3,
        "record 4 cannot be read",
    ),
    ("DELETE FROM token_authority.audit_log WHERE seq = 4", 3, "record 4 is missing: the next one is 5"),
    ("DELETE FROM token_authority.audit_log WHERE seq = 1", 0, "record 1 is missing: the next one is 2"),
    ("UPDATE token_authority.audit_log SET seq = -1 WHERE seq = 4", 0, "record 1 is missing: the next one is -1"),
]


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize(("statement", "verified", "sentence"), TAMPERED)
async def test_verification_of_changed_log_says_where_it_is_broken(
    authority: Authority, database: ClonedDatabase, statement: str, verified: int, sentence: str
) -> None:
    head = await read_head(authority)
    await tamper(database, statement)

    answer = await verify(authority, head)

    report = answer.json
    assert answer.status == 200
    assert (report["intact"], report["broken"]) == (False, sentence)
    assert report["records"] == report["head"]["seq"] == verified
    assert report["has_earlier_head"] is True


@pytest.mark.usefixtures("tokens")
async def test_truncated_log_is_noticed_with_earlier_head_only(authority: Authority, database: ClonedDatabase) -> None:
    head = await read_head(authority)
    await tamper(database, f"DELETE FROM token_authority.audit_log WHERE seq = {head['seq']}")

    without, with_head = (await verify(authority)).json, (await verify(authority, head)).json

    assert (without["intact"], without["records"], without["has_earlier_head"]) == (True, head["seq"] - 1, None)
    assert (with_head["intact"], with_head["broken"], with_head["has_earlier_head"]) == (False, None, False)


@pytest.mark.usefixtures("tokens")
async def test_rewritten_log_is_noticed_with_earlier_head_only(authority: Authority, database: ClonedDatabase) -> None:
    head = await read_head(authority)
    await tamper(database, f"DELETE FROM token_authority.audit_log WHERE seq = {head['seq']}")
    await authority.issue(name="other")
    rewritten = await read_head(authority)

    without, with_head = (await verify(authority)).json, (await verify(authority, head)).json

    assert rewritten["seq"] == head["seq"]
    assert (without["intact"], without["head"]) == (True, rewritten)
    assert (with_head["intact"], with_head["has_earlier_head"]) == (False, False)


@pytest.mark.usefixtures("tokens")
async def test_earlier_head_of_log_that_grew_is_found(authority: Authority) -> None:
    head = await read_head(authority)
    await authority.issue()

    for earlier in (head, EMPTY):
        report = (await verify(authority, earlier)).json
        assert (report["intact"], report["has_earlier_head"]) == (True, True)
        assert report["records"] == head["seq"] + 1


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"seq": 1}, "/hash"),
    ({"hash": "0" * 64}, "/seq"),
    ({"seq": -1, "hash": "0" * 64}, "/seq"),
    ({"seq": 1, "hash": "0" * 63}, "/hash"),
    ({"seq": 1, "hash": "G" * 64}, "/hash"),
    ({"head": "1:00"}, "/head"),
]


async def test_verification_with_invalid_head_returns_422(authority: Authority, subtests: pytest.Subtests) -> None:
    for body, pointer in INVALID:
        with subtests.test(body=body):
            answer = await verify(authority, body)

            assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)


INSERT = """
    INSERT INTO token_authority.audit_log
    SELECT seq, at, actor_kind, actor_id, address, request_id, action, subject, before, after,
           decode(previous, 'hex'), decode(hash, 'hex')
    FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::json[], $10::json[], $11::text[], $12::text[])
         AS row (seq, at, actor_kind, actor_id, address, request_id, action, subject, before, after, previous, hash)
"""


async def fill_log(database: ClonedDatabase, number: int, size: int) -> Head:
    """Replace the log by a chain of records with this number of characters. Return its head."""
    entry = AuditEntry(SYSTEM, "token.change", "token:tok_x", {"description": "x" * size}, {"description": "y" * size})
    chain = list(records([entry] * number, (0, NO_HASH), datetime.now(UTC)))
    await fetch(database.admin_url, "DELETE FROM token_authority.audit_log")
    await fetch(database.admin_url, INSERT, *map(list, zip(*map(column_values, chain), strict=True)))
    return Head(chain[-1].seq, chain[-1].hash)


@pytest.fixture
async def opened(database: ClonedDatabase, authority: Authority) -> AsyncGenerator[Database, None]:
    """Return a pool of the service's role."""
    async with connected(database.token_authority_url, size=1, statement_cache=100) as pool:
        yield pool


async def test_verification_reads_a_log_of_any_length(database: ClonedDatabase, opened: Database) -> None:
    for number in (0, 1, CHUNK, CHUNK + 1):
        head = await fill_log(database, number, 10) if number else Head(0, NO_HASH)
        if not number:
            await fetch(database.admin_url, "DELETE FROM token_authority.audit_log")

        report = await verify_chain(opened, head)

        assert (report.records, report.head, report.is_intact, report.has_earlier_head) == (number, head, True, True)


async def measure_longest_step_s(verification: Awaitable[ChainReport]) -> float:
    """Return the most processor time between two steps of the event loop during a verification."""
    longest_s, is_done = 0.0, False

    async def step() -> None:
        nonlocal longest_s
        last = time.thread_time()
        while not is_done:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest_s, last = max(longest_s, now - last), now

    stepping = asyncio.create_task(step())
    report = await verification
    is_done = True
    await stepping
    assert report.is_intact
    return longest_s


async def test_verification_of_large_records_leaves_the_event_loop_to_others(
    database: ClonedDatabase, opened: Database
) -> None:
    await fill_log(database, CHUNK, 10_000)

    longest_s = [await measure_longest_step_s(verify_chain(opened)) for _ in range(TRIES)]

    assert min(longest_s) < MOST_S
