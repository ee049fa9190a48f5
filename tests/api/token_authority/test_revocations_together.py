"""Revocations that arrive together share a transaction, and each has its own result, record and place in the log."""

import asyncio

from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import fetch, hold_rows, wait_for_blocked
from tests.support.stack import Answer, Authority

COUNT = 12
TRANSACTIONS = """
    SELECT count(*) AS revocations FROM token_authority.audit_log WHERE action = 'token.revoke'
    GROUP BY xmin::text ORDER BY min(seq)
"""


async def revoke(authority: Authority, token_id: str, text: str) -> Answer:
    body = {"reason": "other", "text": text}
    return await authority.manage("POST", f"/v1/tokens/{token_id}/revoke", body)


async def test_concurrent_revocations_return_200_each_with_its_own_seq_and_record(authority: Authority) -> None:
    guard = FakeGuard(authority)
    await guard.follow()
    tokens = [await authority.issue() for _ in range(COUNT)]

    async def follow_until(task: "asyncio.Task[list[Answer]]") -> list[Answer]:
        while not task.done():
            await guard.follow()
            await asyncio.wait({task}, timeout=0.05)
        return task.result()

    sent = asyncio.ensure_future(asyncio.gather(*(revoke(authority, each["id"], each["id"]) for each in tokens)))
    answers = await follow_until(asyncio.create_task(_result_of(sent)))
    records = (await authority.manage("GET", "/v1/audit?action=token.revoke&limit=200")).json["items"]
    introspected = [(await authority.introspect(each["token"])).json for each in tokens]

    assert [answer.status for answer in answers] == [200] * COUNT
    assert all(answer.json["effective"] for answer in answers)
    seqs = sorted(answer.json["seq"] for answer in answers)
    assert seqs == list(range(seqs[0], seqs[0] + COUNT))
    texts = {record["subject"]: record["after"]["revoked_text"] for record in records}
    assert texts == {f"token:{each['id']}": each["id"] for each in tokens}
    assert introspected == [{"active": False}] * COUNT


async def _result_of(sent: "asyncio.Future[list[Answer]]") -> list[Answer]:
    return await sent


async def test_concurrent_revocations_of_one_token_return_the_same_seq(authority: Authority) -> None:
    token = await authority.issue()

    answers = await asyncio.gather(*(revoke(authority, token["id"], "x") for _ in range(COUNT)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["seq"] for answer in answers}) == 1


async def test_unknown_token_among_others_returns_404_and_the_others_are_revoked(authority: Authority) -> None:
    ids = [(await authority.issue())["id"] for _ in range(3)] + ["tok_000000000000000000000000"]

    answers = await asyncio.gather(*(revoke(authority, each, "x") for each in ids))

    assert [answer.status for answer in answers] == [200, 200, 200, 404]


async def test_revocations_that_arrive_during_another_share_the_next_transaction(
    authority: Authority, database: ClonedDatabase
) -> None:
    ids = [(await authority.issue())["id"] for _ in range(COUNT)]

    async with asyncio.TaskGroup() as tasks, hold_rows(database, "token_authority.token", waiting=1):
        tasks.create_task(revoke(authority, ids[0], "x"))
        await wait_for_blocked(database, 1)
        for each in ids[1:]:
            tasks.create_task(revoke(authority, each, "x"))
        await asyncio.sleep(0.2)

    transactions = [row["revocations"] for row in await fetch(database.admin_url, TRANSACTIONS)]
    assert transactions[0] == 1
    assert sum(transactions) == COUNT
    assert len(transactions) < COUNT / 2
