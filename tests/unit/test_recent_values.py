"""The latest values of a stream."""

from shared.runtime.process.recent_values import RecentValues


def test_values_are_listed_in_order_until_their_life_is_over() -> None:
    time = 0.0
    values = RecentValues[str](size=10, life_s=5.0, clock=lambda: time)
    values.add("first")
    time = 3.0
    values.add("second")
    before = values.list()

    time = 5.0

    assert (before, values.list()) == (["first", "second"], ["second"])


def test_oldest_values_beyond_the_size_are_dropped() -> None:
    values = RecentValues[int](size=3, life_s=5.0, clock=lambda: 0.0)

    for number in range(5):
        values.add(number)

    assert values.list() == [2, 3, 4]


def test_no_value_is_left_after_clear() -> None:
    values = RecentValues[int](size=3, life_s=5.0, clock=lambda: 0.0)
    values.add(1)

    values.clear()

    assert values.list() == []
