"""Revocations that arrive together share a transaction, and each has its own result, record and place in the log."""

import asyncio
from typing import Any

import pytest

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.reason import Reason
from services.token_authority.operations.revocation_batches import MAX_TOGETHER, RevocationBatches, RevocationRequest
from tests.support.guards import FakeGuard
from tests.support.stack import Answer, Authority

COUNT = 12
BY, WHY = Actor("admin_key", "adm_1", None), Reason("unneeded")


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


async def test_revocations_that_arrive_meanwhile_are_carried_out_together() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    batches: list[int] = []

    async def carry_out(requests: Any) -> dict[str, Any]:
        batches.append(len(requests))
        begun.set()
        await go_on.wait()
        return {}

    revocations = RevocationBatches(carry_out)
    first = asyncio.create_task(revocations.revoke(RevocationRequest("tok_first", WHY, BY)))
    await begun.wait()
    others = [
        asyncio.create_task(revocations.revoke(RevocationRequest(f"tok_{number}", WHY, BY)))
        for number in range(MAX_TOGETHER + 2)
    ]
    await asyncio.sleep(0)
    others[0].cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *others, return_exceptions=True)

    assert batches == [1, MAX_TOGETHER, 1]


async def test_revocation_that_fails_alone_does_not_fail_the_others() -> None:
    class Flawed(Exception):
        pass

    begun, go_on = asyncio.Event(), asyncio.Event()

    async def carry_out(requests: Any) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        if any(each.token_id == "tok_bad" for each in requests):
            raise Flawed
        return {each.token_id: each.token_id for each in requests}

    revocations = RevocationBatches(carry_out)
    ids = ["tok_first", "tok_good", "tok_bad", "tok_fine"]
    tasks = [asyncio.create_task(revocations.revoke(RevocationRequest("tok_first", WHY, BY)))]
    await begun.wait()
    tasks += [asyncio.create_task(revocations.revoke(RevocationRequest(each, WHY, BY))) for each in ids[1:]]
    await asyncio.sleep(0)
    go_on.set()
    results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)

    assert [results[0], results[1], results[3]] == ["tok_first", "tok_good", "tok_fine"]
    assert isinstance(results[2], Flawed)
    with pytest.raises(Flawed):
        await revocations.revoke(RevocationRequest("tok_bad", WHY, BY))
