"""How a sliding window counts, and how many windows are remembered."""

import pytest

from shared.runtime.redis.rate_window import WindowMemory


class Scene:
    """A memory of three windows, on a clock that a test turns."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.memory = WindowMemory(3, lambda: self.time)


def test_what_was_counted_goes_bit_by_bit_in_the_minute_after() -> None:
    scene = Scene()
    scene.memory.add("key", 60)
    used = []

    for after_s in (59.0, 60.5, 75.5, 90.5, 119.5, 120.0):
        scene.time = 1000.0 + after_s
        used.append(scene.memory.read("key").used)

    assert used == [60, 59, 44, 29, 0, 0]


@pytest.mark.parametrize("counted", [[(0, 60)], [(0, 7), (30, 5)], [(0, 10), (70, 3)], [(0, 1)], [(0, 60), (61, 1)]])
def test_no_later_than_it_says_there_is_more(counted: list[tuple[int, int]]) -> None:
    scene = Scene()
    for after_s, cost in counted:
        scene.time = 1000.0 + after_s
        scene.memory.add("key", cost)
    window = scene.memory.read("key")

    scene.time += window.reset_s - 0.001
    before = scene.memory.read("key").used
    scene.time += 0.002

    assert before == window.used
    assert scene.memory.read("key").used < window.used


def test_after_two_idle_minutes_nothing_is_left() -> None:
    scene = Scene()
    scene.memory.add("key", 60)

    scene.time += 500

    assert scene.memory.read("key").used == 0
    assert scene.memory.add("key", 1).used == 1


def test_the_memory_is_bounded_and_forgets_what_has_gone_uncounted_for_longest() -> None:
    scene = Scene()
    for key in ("a", "b", "c", "a", "d", "a"):
        scene.memory.add(key, 1)
        scene.memory.read("b")

    assert len(scene.memory) == 3
    assert {key: scene.memory.read(key).used for key in "abcd"} == {"a": 3, "b": 0, "c": 1, "d": 1}
