"""The guard's cache: bounded by size, and small again when what it has kept has expired."""

from shared.guard.cache import ExpiringCache

LIFE_S = 10.0


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def key(number: int) -> bytes:
    return number.to_bytes(32)


def test_full_cache_evicts_the_oldest_value() -> None:
    cache = ExpiringCache[int](size=2, life_s=LIFE_S, clock=Clock())

    for number in range(3):
        cache.put(key(number), number, 0.0)

    assert [cache.get(key(number)) for number in range(3)] == [None, 1, 2]


def test_expired_values_leave_memory_while_others_are_stored() -> None:
    clock = Clock()
    cache = ExpiringCache[int](size=1000, life_s=LIFE_S, clock=clock)
    for number in range(100):
        cache.put(key(number), number, clock.now_s)

    clock.now_s = LIFE_S
    for number in range(100, 200):
        cache.put(key(number), number, clock.now_s)

    assert len(cache) == 100
    assert all(cache.get(key(number)) == number for number in range(100, 200))


def test_storing_removes_no_value_that_has_not_expired() -> None:
    clock = Clock()
    cache = ExpiringCache[int](size=1000, life_s=LIFE_S, clock=clock)
    for number in range(100):
        clock.now_s = number / 100
        cache.put(key(number), number, clock.now_s)

    clock.now_s = LIFE_S
    cache.put(key(100), 100, clock.now_s)

    assert len(cache) == 100  # the first one had expired
    assert cache.get(key(1)) == 1
