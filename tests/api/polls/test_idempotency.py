"""Requests with an `Idempotency-Key` are carried out once."""

import asyncio

import pytest

from services.polls.storage.idempotency import MAX_BYTES_PER_TOKEN, MAX_RESPONSES_PER_TOKEN
from tests.support.databases import ClonedDatabase
from tests.support.polls_storage import store_responses
from tests.support.postgres import fetch, hold_lock, wait_for_blocked
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
BODY = {"template": "stars", "location": {"workspace": "PLAT", "content": "PLAT-1"}}


async def count_polls(polls: Polls) -> int:
    """Return the number of polls."""
    return len((await polls.v1("GET", "/polls")).json["items"])


async def test_repeated_request_with_key_returns_first_response(polls: Polls) -> None:
    first = await polls.v1("POST", "/polls", BODY, KEY)
    await polls.v1("PATCH", f"/polls/{first.json['id']}", {"title": "Changed"})

    again = await polls.v1("POST", "/polls", BODY, KEY)

    assert (again.status, again.body) == (201, first.body)
    assert [again.headers[name] for name in ("Location", "ETag")] == [first.headers[n] for n in ("Location", "ETag")]
    assert await count_polls(polls) == 1


async def test_quoted_key_is_the_same_key(polls: Polls) -> None:
    first = await polls.v1("POST", "/polls", BODY, KEY)

    again = await polls.v1("POST", "/polls", BODY, {"Idempotency-Key": f'"{KEY["Idempotency-Key"]}"'})

    assert again.body == first.body


async def test_same_key_with_another_body_returns_422(polls: Polls) -> None:
    await polls.v1("POST", "/polls", BODY, KEY)

    reused = await polls.v1("POST", "/polls", {**BODY, "template": "hearts"}, KEY)

    assert (reused.status, reused.json["type"]) == (422, "/docs/problems/idempotency-key-reused")
    assert await count_polls(polls) == 1


async def test_corrected_request_with_key_of_failed_one_returns_201(polls: Polls) -> None:
    failed = await polls.v1("POST", "/polls", {**BODY, "title": ""}, KEY)

    corrected = await polls.v1("POST", "/polls", BODY, KEY)

    assert (failed.status, corrected.status) == (422, 201)


async def test_concurrent_requests_with_same_key_create_one_poll(polls: Polls) -> None:
    answers = await asyncio.gather(*(polls.v1("POST", "/polls", BODY, KEY) for _ in range(12)))

    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    assert await count_polls(polls) == 1


@pytest.mark.own_database
async def test_request_with_key_of_long_running_request_returns_409(polls: Polls, database: ClonedDatabase) -> None:
    """The response is not 503, and does not take as long as a batch may take."""
    poll = await polls.create_poll()
    batch = {"items": [{"op": "create", "poll": BODY}, {"op": "delete", "id": poll["id"]}]}
    for statement in (
        "CREATE FUNCTION public.delay_delete() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN OLD; END'",
        "CREATE TRIGGER delay_delete BEFORE DELETE ON polls.poll FOR EACH ROW EXECUTE FUNCTION public.delay_delete()",
    ):
        await fetch(database.admin_url, statement)

    async with hold_lock(database, 1):
        first = asyncio.create_task(polls.v1("POST", "/polls:batch", batch, KEY))
        await wait_for_blocked(database, 1)
        meanwhile = await polls.v1("POST", "/polls:batch", batch, KEY)
    done = await first
    afterwards = await polls.v1("POST", "/polls:batch", batch, KEY)

    assert (meanwhile.status, meanwhile.json["type"]) == (409, "/docs/problems/idempotency-key-in-use")
    assert [item["status"] for item in done.json["items"]] == [201, 204]
    assert afterwards.body == done.body
    assert await count_polls(polls) == 1


async def test_same_key_of_another_token_creates_another_poll(polls: Polls, authority: Authority) -> None:
    other = polls.with_token((await authority.issue())["token"])

    first, second = await polls.v1("POST", "/polls", BODY, KEY), await other.v1("POST", "/polls", BODY, KEY)

    assert first.json["id"] != second.json["id"]


async def test_key_of_24_hours_ago_can_be_used_again(polls: Polls, database: ClonedDatabase) -> None:
    first = await polls.v1("POST", "/polls", BODY, KEY)
    await fetch(database.admin_url, "UPDATE polls.answer SET given_at = given_at - interval '24 hours'")

    second = await polls.v1("POST", "/polls", {**BODY, "template": "hearts"}, KEY)

    assert second.status == 201
    assert second.json["id"] != first.json["id"]


async def test_malformed_key_returns_400(polls: Polls) -> None:
    assert (await polls.v1("POST", "/polls", BODY, {"Idempotency-Key": "a b"})).status == 400


async def test_repeated_batch_with_key_returns_first_response(polls: Polls) -> None:
    batch = {"items": [{"op": "create", "poll": BODY}]}

    first, again = [await polls.v1("POST", "/polls:batch", batch, KEY) for _ in range(2)]

    assert again.body == first.body
    assert await count_polls(polls) == 1


async def test_repeated_batch_after_token_lost_place_returns_403(polls: Polls, authority: Authority) -> None:
    issued = await authority.issue("polls:*:PLAT", "polls:read:OTHER")
    narrowed = polls.with_token(issued["token"])
    batch = {"items": [{"op": "close", "id": (await polls.create_poll())["id"]}]}
    first = await narrowed.v1("POST", "/polls:batch", batch, KEY)

    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:read:OTHER"]})
    again = await narrowed.v1("POST", "/polls:batch", batch, KEY)

    assert (first.status, again.status) == (200, 403)
    assert "polls:update:PLAT/PLAT-1" in again.json["detail"]


async def test_repeated_batch_with_refused_edit_after_token_lost_update_returns_403(
    polls: Polls, authority: Authority
) -> None:
    poll = await polls.create_poll(settings={"resultsVisibility": "never"})
    await polls.vote(poll["id"], "ada", "y")
    issued = await authority.issue("polls:create,update:PLAT")
    narrowed = polls.with_token(issued["token"])
    without = {"title": "Lunch?", "options": [{"id": "n", "title": "No"}]}
    batch = {"items": [{"op": "create", "poll": BODY}, {"op": "update", "id": poll["id"], "poll": without}]}
    first = await narrowed.v1("POST", "/polls:batch", batch, KEY)

    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"scopes": ["polls:create:PLAT"]})
    again = await narrowed.v1("POST", "/polls:batch", batch, KEY)

    assert [item["status"] for item in first.json["items"]] == [201, 409]
    assert again.status == 403


async def test_repeated_batch_returns_response_stored_by_another_release(
    polls: Polls, database: ClonedDatabase
) -> None:
    batch = {"items": [{"op": "create", "poll": BODY}]}
    await polls.v1("POST", "/polls:batch", batch, KEY)
    statement = """
        UPDATE polls.answer
        SET body = convert_to(replace(convert_from(body, 'UTF8'), '"settings":{', '"settings":{"isNew":true,'), 'UTF8')
        RETURNING body
    """
    ((stored,),) = await fetch(database.admin_url, statement)

    again = await polls.v1("POST", "/polls:batch", batch, KEY)

    assert b'"isNew":true' in stored
    assert (again.status, again.body) == (200, stored)


async def test_batch_that_changes_nothing_is_not_stored(polls: Polls, database: ClonedDatabase) -> None:
    closed = await polls.create_poll(settings={"endDate": "2026-01-01", "closePollOnEndDate": True})
    unknown = {"op": "close", "id": "x" * 64}
    batches = [
        [unknown] * 100,
        [{"op": "close", "id": closed["id"]}, {"op": "delete", "id": closed["id"], "ifMatch": '"9"'}],
    ]

    answers = [
        await polls.v1("POST", "/polls:batch", {"items": items}, {"Idempotency-Key": f"key-{number}"})
        for number, items in enumerate(batches)
    ]
    again = await polls.v1("POST", "/polls:batch", {"items": batches[0][:1]}, {"Idempotency-Key": "key-0"})

    assert [answer.status for answer in (*answers, again)] == [200] * 3
    assert await count_stored(database) == 0


async def test_batch_item_with_long_id_returns_422(polls: Polls) -> None:
    for op in ("close", "delete"):
        answer = await polls.v1("POST", "/polls:batch", {"items": [{"op": op, "id": "x" * 65}]}, KEY)

        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/items/0/id")


async def test_key_beyond_limit_of_stored_responses_returns_429_and_changes_nothing(
    polls: Polls, database: ClonedDatabase, authority: Authority, subtests: pytest.Subtests
) -> None:
    batch = {"items": [{"op": "create", "poll": BODY}]}
    for name, rows, size in [("number", MAX_RESPONSES_PER_TOKEN - 1, 1), ("bytes", 64, MAX_BYTES_PER_TOKEN // 64)]:
        with subtests.test(name):
            issued = await authority.issue()
            holder = polls.with_token(issued["token"])
            stored = await holder.v1("POST", "/polls", BODY, KEY)
            await store_responses(database, issued["id"], rows, size)
            before = await count_polls(polls)

            refused = [
                await holder.v1("POST", path, body, {"Idempotency-Key": "another"})
                for path, body in (("/polls", BODY), ("/polls:batch", batch))
            ]
            repeated = await holder.v1("POST", "/polls", BODY, KEY)
            after = await count_polls(polls)
            without_key = await holder.v1("POST", "/polls", BODY)

            assert [(answer.status, answer.json["type"]) for answer in refused] == [
                (429, "/docs/problems/too-many-stored-responses")
            ] * 2
            assert int(refused[0].headers["Retry-After"]) > 0
            assert after == before
            assert repeated.body == stored.body
            assert without_key.status == 201


async def count_stored(database: ClonedDatabase) -> int:
    """Return the number of stored responses."""
    return len(await fetch(database.admin_url, "SELECT FROM polls.answer"))
