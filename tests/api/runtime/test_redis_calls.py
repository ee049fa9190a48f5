"""Calls to Redis that are made at the same time wait for one another, instead of failing."""

import asyncio

from shared.runtime.redis.client import redis_client

COUNT = 500


async def test_many_calls_at_once_all_get_an_answer(redis_url: str) -> None:
    async with redis_client(redis_url) as redis:
        answers = await asyncio.gather(*(redis.send("PING") for _ in range(COUNT)), return_exceptions=True)

    assert [str(answer) for answer in answers if isinstance(answer, Exception)] == []
    assert len(answers) == COUNT
