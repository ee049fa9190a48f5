"""Values are kept up to a total size."""

from shared.runtime.process.kept_values import KeptValues


def test_values_that_were_kept_first_are_dropped_first() -> None:
    kept = KeptValues[int, str](max_size=1000)
    for number in range(150):
        kept.put(number, f"value {number}", size=10)

    assert len(kept) == 100
    assert (kept.get(49), kept.get(50), kept.get(149)) == (None, "value 50", "value 149")


def test_new_value_takes_the_place_of_the_earlier_one() -> None:
    kept = KeptValues[int, str](max_size=1000)
    for _ in range(150):
        kept.put(1, "old", size=10)
    kept.put(1, "new", size=10)

    assert (len(kept), kept.get(1)) == (1, "new")


def test_large_value_is_not_kept_and_drops_the_earlier_one() -> None:
    kept = KeptValues[int, str](max_size=1000)
    kept.put(1, "old", size=10)
    kept.put(1, "large", size=11)

    assert (len(kept), kept.get(1)) == (0, None)
