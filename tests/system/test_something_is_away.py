"""PostgreSQL, Redis or the authority black-holed or down: an answer in time, and never a guess."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.guard.guard import GRANT_LIFE_S
from tests.support.databases import ClonedDatabase
from tests.support.proxy import Mode, Proxy, proxied
from tests.support.stack import Authority, Polls, polls_service, token_authority

LIMIT_S = 3.0
FAULTS: list[Mode] = ["black hole", "refuse"]


class Scene(NamedTuple):
    """Both services, with a proxy before everything that they need."""

    authority: Authority
    polls: Polls
    postgres: Proxy
    redis: Proxy
    introspection: Proxy


@asynccontextmanager
async def _scene(database: ClonedDatabase, redis_url: str, folder: Path) -> AsyncGenerator[Scene, None]:
    async with proxied(database.admin_url) as postgres, proxied(redis_url) as redis:
        behind = ClonedDatabase(
            database.admin_url, postgres.url(database.token_authority_url), postgres.url(database.polls_url)
        )
        async with (
            token_authority(behind, redis.url(), folder) as authority,
            proxied(authority.base) as introspection,
            polls_service(behind, redis.url(), introspection.url()) as polls,
        ):
            polls.endpoint = await authority.endpoint()
            polls.token = (await authority.issue())["token"]
            assert (await polls.call("GET")).status == 200
            yield Scene(authority, polls, postgres, redis, introspection)
            for proxy in (postgres, redis, introspection):
                proxy.become("ok")


@pytest.fixture
async def scene(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> AsyncGenerator[Scene, None]:
    async with _scene(database, redis_url, tmp_path) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_postgresql_both_services_answer_503_in_time_and_recover(scene: Scene, fault: Mode) -> None:
    scene.postgres.become(fault)

    started = time.monotonic()
    answers = await asyncio.gather(
        *(scene.polls.call("GET") for _ in range(10)), scene.authority.manage("GET", "/v1/tokens")
    )
    took_s = time.monotonic() - started

    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert took_s < LIMIT_S
    assert (await scene.polls("GET", "/readyz")).status == 503
    assert (await scene.polls("GET", "/livez")).status == 200
    scene.postgres.become("ok")
    await _until(scene, 200)


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_the_authority_a_known_token_works_for_its_life_and_then_503(scene: Scene, fault: Mode) -> None:
    scene.introspection.become(fault)
    assert (await scene.polls.call("GET")).status == 200

    unknown = scene.polls.holding((await scene.authority.issue())["token"])
    started = time.monotonic()
    answer = await unknown.call("GET")

    assert time.monotonic() - started < LIMIT_S
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    await asyncio.sleep(GRANT_LIFE_S)
    assert (await scene.polls.call("GET")).status == 503
    scene.introspection.become("ok")
    await _until(scene, 200)


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_redis_a_revocation_succeeds_and_is_published_when_redis_is_back(
    scene: Scene, fault: Mode
) -> None:
    issued = await scene.authority.issue()
    mine = scene.polls.holding(issued["token"])
    assert (await mine.call("GET")).status == 200
    scene.redis.become(fault)

    started = time.monotonic()
    await scene.authority.revoke(issued["id"])
    assert (await scene.polls.call("GET")).status == 200
    assert time.monotonic() - started < LIMIT_S

    async with asyncio.timeout(GRANT_LIFE_S + LIMIT_S):
        while (await mine.call("GET")).status != 403:
            await asyncio.sleep(0.05)
    scene.redis.become("ok")
    async with asyncio.timeout(15):
        while (await scene.polls("GET", "/readyz")).json["checks"]["changes"] != "ok":
            await asyncio.sleep(0.05)
    await _revocation_is_pushed(scene)


async def test_a_lost_push_is_made_up_for_when_the_subscription_is_back(scene: Scene) -> None:
    issued = await scene.authority.issue()
    mine = scene.polls.holding(issued["token"])
    scene.redis.become("refuse")
    assert (await mine.call("GET")).status == 200
    await scene.authority.revoke(issued["id"])

    started = time.monotonic()
    scene.redis.become("ok")
    async with asyncio.timeout(GRANT_LIFE_S):
        while (await mine.call("GET")).status != 403:
            await asyncio.sleep(0.02)

    assert time.monotonic() - started < GRANT_LIFE_S - 1


async def _revocation_is_pushed(scene: Scene) -> None:
    issued = await scene.authority.issue()
    mine = scene.polls.holding(issued["token"])
    assert (await mine.call("GET")).status == 200
    await scene.authority.revoke(issued["id"])
    async with asyncio.timeout(2):
        while (await mine.call("GET")).status != 403:
            await asyncio.sleep(0.01)


async def _until(scene: Scene, status: int) -> None:
    async with asyncio.timeout(10):
        while (await scene.polls.call("GET")).status != status:
            await asyncio.sleep(0.05)
