"""How a sliding window counts, and how many keys are kept in memory."""

import time

import pytest

from shared.runtime.redis.rate_window import BoundedMemory, Counters

MINUTE_START = 1_800_000_000.0
"""A wall-clock time at which a minute begins, and so a window of the memory."""


class Clock:
    """The wall clock, set by a test."""

    def __init__(self) -> None:
        self.time = MINUTE_START

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace `time.time()` by a clock of the test."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def memory() -> BoundedMemory:
    """Return a memory for three keys."""
    return BoundedMemory(3, 1)


async def count_used(memory: BoundedMemory, key: str) -> int:
    return 1000 - (await memory.peek(key, 1000)).remaining


async def test_count_fades_gradually_in_the_following_minute(clock: Clock, memory: BoundedMemory) -> None:
    await memory.count("key", 60)
    counts = []

    for after_s in (59.0, 60.5, 75.5, 90.5, 119.5, 120.0):
        clock.time = MINUTE_START + after_s
        counts.append(await count_used(memory, "key"))

    assert counts == [60, 59, 44, 29, 0, 0]


@pytest.mark.parametrize("counted", [[(0, 60)], [(0, 7), (30, 5)], [(0, 10), (70, 3)], [(0, 1)], [(0, 60), (61, 1)]])
async def test_remaining_grows_exactly_at_reset(
    clock: Clock, memory: BoundedMemory, counted: list[tuple[int, int]]
) -> None:
    verdict = None
    for after_s, cost in counted:
        clock.time = MINUTE_START + after_s
        verdict = await memory.hit("key", 1000, cost)
    assert verdict is not None

    clock.time += verdict.reset_s - 0.001
    just_before = await memory.peek("key", 1000)
    clock.time += 0.002

    assert just_before.remaining == verdict.remaining
    assert (await memory.peek("key", 1000)).remaining > verdict.remaining


@pytest.mark.parametrize("counted", [[(0, 10)], [(0, 35)], [(0, 10), (70, 6)], [(0, 5), (70, 12)]])
async def test_exhausted_limit_allows_a_hit_exactly_after_its_wait(
    clock: Clock, memory: BoundedMemory, counted: list[tuple[int, int]]
) -> None:
    for after_s, cost in counted:
        clock.time = MINUTE_START + after_s
        await memory.count("key", cost)
    exhausted = await memory.peek("key", 10)

    clock.time += exhausted.reset_s - 0.001
    just_before = await memory.peek("key", 10)
    clock.time += 0.002

    assert (exhausted.is_allowed, just_before.is_allowed) == (False, False)
    assert (await memory.peek("key", 10)).is_allowed
    assert (await memory.hit("key", 10, 1)).is_allowed


async def test_nothing_is_counted_after_two_idle_minutes(clock: Clock, memory: BoundedMemory) -> None:
    await memory.count("key", 60)

    clock.time += 500

    assert await count_used(memory, "key") == 0
    await memory.count("key", 1)
    assert await count_used(memory, "key") == 1


async def test_hit_beyond_the_limit_is_refused_and_not_counted(clock: Clock, memory: BoundedMemory) -> None:
    verdicts = [await memory.hit("key", 10, cost) for cost in (7, 4, 3, 1)]

    assert [(v.is_allowed, v.remaining, v.reset_s) for v in verdicts] == [
        (True, 3, 60),
        (False, 3, 60),
        (True, 0, 60),
        (False, 0, 60),
    ]


async def test_full_memory_forgets_the_key_that_has_gone_uncounted_for_longest(memory: BoundedMemory) -> None:
    for key in ("a", "b", "c", "a", "d", "a"):
        await memory.count(key, 1)
        await memory.peek("b", 1)

    assert len(memory) == 3
    assert {key: await count_used(memory, key) for key in "abcd"} == {"a": 3, "b": 0, "c": 1, "d": 1}


async def test_memory_in_parts_keeps_each_key_apart_and_stays_bounded() -> None:
    memory = BoundedMemory(40, 8)
    for number in range(1000):
        await memory.count(str(number), 1)

    assert len(memory) == 40
    assert await count_used(memory, "999") == 1


def test_used_count_is_rounded_down() -> None:
    assert Counters(previous=3, current=2, left_s=19.9).used == 2
    assert Counters(previous=3, current=2, left_s=20.0).used == 3
