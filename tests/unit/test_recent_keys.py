"""How long a key counts as recent, and how many keys are kept."""

from shared.runtime.process.recent_keys import RecentKeys


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_key_is_recent_until_ttl_expires() -> None:
    clock = Clock()
    keys = RecentKeys(3, 60.0, clock)
    keys.add("a")

    clock.time += 59.9
    assert "a" in keys
    assert "b" not in keys
    clock.time += 0.1
    assert "a" not in keys


def test_key_added_again_is_recent_for_the_full_ttl() -> None:
    clock = Clock()
    keys = RecentKeys(3, 60.0, clock)
    keys.add("a")
    clock.time += 59.0

    keys.add("a")

    clock.time += 59.0
    assert "a" in keys


def test_full_memory_forgets_the_key_that_was_added_first() -> None:
    keys = RecentKeys(3, 60.0, Clock())
    for key in ("a", "b", "c", "a", "d"):
        keys.add(key)

    assert len(keys) == 3
    assert [key in keys for key in "abcd"] == [True, False, True, True]
