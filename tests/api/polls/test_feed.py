"""The feed calls the watchers of a poll when it changes in any process, and after a time without announcements."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import structlog
from aiohttp import web

from services.polls.tasks.poll_feed import POLLS_CHANNEL, PUBLISH_INTERVAL_S, PollFeed
from shared.runtime.process.supervise import supervise
from shared.runtime.redis.client import redis_client
from tests.support.proxy import run_proxy


@asynccontextmanager
async def running_feed(redis_url: str, max_silence_s: float = 3600.0) -> AsyncGenerator[PollFeed, None]:
    """Run a feed. By default, watchers are called for announcements only."""
    app = web.Application()
    async with redis_client(redis_url) as redis:
        feed = PollFeed(redis, max_silence_s=max_silence_s)
        async with supervise(app, "feed", feed.run), supervise(app, "announcements", feed.publish):
            yield feed


async def wait_until_live(feed: PollFeed, *, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not feed.is_live:
            await asyncio.sleep(0.01)


@pytest.fixture
async def feed(redis_url: str) -> AsyncGenerator[PollFeed, None]:
    async with running_feed(redis_url) as running:
        await wait_until_live(running)
        yield running


@pytest.fixture
async def other(redis_url: str) -> AsyncGenerator[PollFeed, None]:
    """Run the feed of another process."""
    async with running_feed(redis_url) as running:
        await wait_until_live(running)
        yield running


async def was_called(called: asyncio.Event, within_s: float = 10) -> bool:
    """Return whether the event is set within the time, and clear it."""
    try:
        async with asyncio.timeout(within_s):
            await called.wait()
    except TimeoutError:
        return False
    called.clear()
    return True


async def test_announcement_calls_watchers_of_the_poll_in_every_process(feed: PollFeed, other: PollFeed) -> None:
    poll, another = uuid4(), uuid4()
    here, there, elsewhere = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with feed.watch(poll, here.set), other.watch(poll, there.set), other.watch(another, elsewhere.set):
        feed.announce(poll)

        assert await was_called(here)
        assert await was_called(there)
        assert not elsewhere.is_set()


async def test_frequent_announcements_call_watchers_once_per_publish_interval(feed: PollFeed, other: PollFeed) -> None:
    poll, called, calls = uuid4(), asyncio.Event(), 0
    started = time.monotonic()
    with other.watch(poll, called.set):
        for _ in range(20):
            for _ in range(500):
                feed.announce(poll)
            await asyncio.sleep(0.01)
            calls += await was_called(called, 0.001)
        while await was_called(called, 3 * PUBLISH_INTERVAL_S):
            calls += 1

    assert 1 <= calls <= (time.monotonic() - started) / PUBLISH_INTERVAL_S + 1


async def test_1200_announcements_at_once_all_arrive(feed: PollFeed, other: PollFeed) -> None:
    polls = {uuid4(): asyncio.Event() for _ in range(1200)}
    watches = [other.watch(poll, called.set) for poll, called in polls.items()]
    for watch in watches:
        watch.__enter__()

    for poll in polls:
        feed.announce(poll)

    assert all([await was_called(called) for called in polls.values()])
    for watch in watches:
        watch.__exit__(None, None, None)


async def test_watcher_without_announcement_is_called_after_max_silence(redis_url: str) -> None:
    called = asyncio.Event()
    async with running_feed(redis_url, max_silence_s=0.3) as feed:
        await wait_until_live(feed)
        with feed.watch(uuid4(), called.set):
            started = time.monotonic()

            assert await was_called(called)
            assert await was_called(called)
            assert time.monotonic() - started >= 2 * 0.3 - 0.1


async def test_message_that_is_not_a_poll_id_is_ignored(feed: PollFeed, redis_url: str) -> None:
    poll, called = uuid4(), asyncio.Event()
    with feed.watch(poll, called.set):
        async with redis_client(redis_url) as redis:
            for message in (b"", b"\xff\xfe", b"x" * 100_000, str(poll).upper().encode(), b'{"id": 1}'):
                await redis.publish(POLLS_CHANNEL, [message])

        assert not await was_called(called, 0.3)
        feed.announce(poll)
        assert await was_called(called)


async def test_announcement_without_redis_calls_watchers_of_same_process(
    redis_url: str,
) -> None:
    poll, called = uuid4(), asyncio.Event()
    async with run_proxy(redis_url) as proxy:
        proxy.set_mode("refuse")
        async with running_feed(proxy.url()) as feed:
            with feed.watch(poll, called.set):
                feed.announce(poll)

                assert await was_called(called)


async def test_watchers_are_called_when_subscription_is_restored(redis_url: str, other: PollFeed) -> None:
    poll, called = uuid4(), asyncio.Event()
    async with run_proxy(redis_url) as proxy, running_feed(proxy.url()) as feed:
        await wait_until_live(feed)
        with feed.watch(poll, called.set), structlog.testing.capture_logs() as logs:
            proxy.set_mode("refuse")
            async with asyncio.timeout(5):
                while feed.is_live:
                    await asyncio.sleep(0.01)
            other.announce(poll)  # is not received
            await asyncio.sleep(2 * PUBLISH_INTERVAL_S)
            called.clear()

            proxy.set_mode("ok")
            await wait_until_live(feed)
            assert await was_called(called)
            other.announce(poll)
            assert await was_called(called)

    assert [line["event"] for line in logs] == [
        "Redis subscription lost: poll changes are delayed by up to 3 s; start Redis or correct REDIS_URL",
        "Redis subscription restored: poll changes arrive at once again",
    ]


async def test_subscription_is_restored_after_redis_stops_responding(redis_url: str) -> None:
    async with run_proxy(redis_url) as proxy, running_feed(proxy.url()) as feed:
        await wait_until_live(feed)

        proxy.set_mode("black hole")
        async with asyncio.timeout(10):
            while feed.is_live:
                await asyncio.sleep(0.01)
        proxy.set_mode("ok")

        await wait_until_live(feed)


async def test_ended_watch_is_not_called(feed: PollFeed) -> None:
    poll, first, second = uuid4(), asyncio.Event(), asyncio.Event()
    with feed.watch(poll, first.set):
        with feed.watch(poll, second.set):
            pass

        feed.announce(poll)

        assert await was_called(first)
        assert not second.is_set()
    assert feed._watchers == {}
