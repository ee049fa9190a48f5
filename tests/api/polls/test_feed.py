"""Whoever watches a poll is woken when it changes, in whichever process, and looks by itself where nothing comes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import structlog
from aiohttp import web

from services.polls.operations.feed import GAP_S, POLLS_CHANNEL, PollFeed
from shared.runtime.process.supervised import supervised
from shared.runtime.redis.client import redis_client
from tests.support.proxy import proxied


@asynccontextmanager
async def a_feed(redis_url: str, look_s: float = 3600.0) -> AsyncGenerator[PollFeed, None]:
    """A running one, which need not be live. Watchers do not look by themselves unless a test says how often."""
    app = web.Application()
    async with redis_client(redis_url) as redis:
        feed = PollFeed(redis, "redis", look_s=look_s)
        async with supervised(app, "feed", feed.run), supervised(app, "announcements", feed.publish):
            yield feed


async def live(feed: PollFeed, *, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not feed.is_live:
            await asyncio.sleep(0.01)


@pytest.fixture
async def feed(redis_url: str) -> AsyncGenerator[PollFeed, None]:
    async with a_feed(redis_url) as running:
        await live(running)
        yield running


@pytest.fixture
async def other(redis_url: str) -> AsyncGenerator[PollFeed, None]:
    """Of another process."""
    async with a_feed(redis_url) as running:
        await live(running)
        yield running


async def is_woken(woken: asyncio.Event, within_s: float = 10) -> bool:
    """Whether it was, in so long; it is cleared."""
    try:
        async with asyncio.timeout(within_s):
            await woken.wait()
    except TimeoutError:
        return False
    woken.clear()
    return True


async def test_an_announcement_wakes_watchers_of_that_poll_in_every_process_and_no_others(
    feed: PollFeed, other: PollFeed
) -> None:
    poll, another = uuid4(), uuid4()
    here, there, elsewhere = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with feed.watch(poll, here.set), other.watch(poll, there.set), other.watch(another, elsewhere.set):
        feed.announce(poll)

        assert await is_woken(here)
        assert await is_woken(there)
        assert not elsewhere.is_set()


async def test_a_poll_that_changes_all_the_time_wakes_its_watchers_a_few_times_a_second(
    feed: PollFeed, other: PollFeed
) -> None:
    poll, woken, wakes = uuid4(), asyncio.Event(), 0
    started = time.monotonic()
    with other.watch(poll, woken.set):
        for _ in range(20):
            for _ in range(500):
                feed.announce(poll)
            await asyncio.sleep(0.01)
            wakes += await is_woken(woken, 0.001)
        while await is_woken(woken, 3 * GAP_S):
            wakes += 1

    assert 1 <= wakes <= (time.monotonic() - started) / GAP_S + 1


async def test_many_polls_at_once_are_all_announced(feed: PollFeed, other: PollFeed) -> None:
    polls = {uuid4(): asyncio.Event() for _ in range(1200)}
    watches = [other.watch(poll, woken.set) for poll, woken in polls.items()]
    for watch in watches:
        watch.__enter__()

    for poll in polls:
        feed.announce(poll)

    assert all([await is_woken(woken) for woken in polls.values()])
    for watch in watches:
        watch.__exit__(None, None, None)


async def test_without_any_announcement_a_watcher_looks_by_itself(redis_url: str) -> None:
    woken = asyncio.Event()
    async with a_feed(redis_url, look_s=0.3) as feed:
        await live(feed)
        with feed.watch(uuid4(), woken.set):
            started = time.monotonic()

            assert await is_woken(woken)
            assert await is_woken(woken)
            assert time.monotonic() - started >= 2 * 0.3 - 0.1


async def test_what_is_no_id_of_a_poll_is_ignored(feed: PollFeed, redis_url: str) -> None:
    poll, woken = uuid4(), asyncio.Event()
    with feed.watch(poll, woken.set):
        async with redis_client(redis_url) as redis:
            for message in (b"", b"\xff\xfe", b"x" * 100_000, str(poll).upper().encode(), b'{"id": 1}'):
                await redis.publish(POLLS_CHANNEL, message)

        assert not await is_woken(woken, 0.3)
        feed.announce(poll)
        assert await is_woken(woken)


async def test_while_redis_is_away_watchers_of_the_same_process_are_woken_and_nothing_waits_or_fails(
    redis_url: str,
) -> None:
    poll, woken = uuid4(), asyncio.Event()
    async with proxied(redis_url) as between:
        between.become("refuse")
        async with a_feed(between.url()) as feed:
            with feed.watch(poll, woken.set):
                feed.announce(poll)

                assert await is_woken(woken)


async def test_when_redis_is_back_everyone_looks_and_hears_of_polls_again(redis_url: str, other: PollFeed) -> None:
    poll, woken = uuid4(), asyncio.Event()
    async with proxied(redis_url) as between, a_feed(between.url()) as feed:
        await live(feed)
        with feed.watch(poll, woken.set), structlog.testing.capture_logs() as logs:
            between.become("refuse")
            async with asyncio.timeout(5):
                while feed.is_live:
                    await asyncio.sleep(0.01)
            other.announce(poll)  # is missed
            await asyncio.sleep(2 * GAP_S)
            woken.clear()

            between.become("ok")
            await live(feed)
            assert await is_woken(woken)
            other.announce(poll)
            assert await is_woken(woken)

    assert [line["event"] for line in logs] == [
        "Redis subscription lost: poll changes are delayed by up to 3 s; start Redis or correct REDIS_URL",
        "Redis subscription restored: poll changes arrive at once again",
    ]


async def test_a_redis_that_has_gone_silent_is_left_and_tried_anew(redis_url: str) -> None:
    async with proxied(redis_url) as between, a_feed(between.url()) as feed:
        await live(feed)

        between.become("black hole")
        async with asyncio.timeout(10):
            while feed.is_live:
                await asyncio.sleep(0.01)
        between.become("ok")

        await live(feed)


async def test_a_watch_that_is_over_leaves_nothing_behind(feed: PollFeed) -> None:
    poll, first, second = uuid4(), asyncio.Event(), asyncio.Event()
    with feed.watch(poll, first.set):
        with feed.watch(poll, second.set):
            pass

        feed.announce(poll)

        assert await is_woken(first)
        assert not second.is_set()
    assert feed._watchers == {}
