"""Places that are shared fairly among keys."""

import asyncio

import pytest

from shared.runtime.process.fair_semaphore import FairSemaphore, QueueFull


class Holders:
    """Tasks that hold a place until `gate` is open. `running` lists the keys of those that have one."""

    def __init__(self, semaphore: FairSemaphore) -> None:
        self.semaphore = semaphore
        self.running: list[str] = []
        self.gate = asyncio.Event()

    async def hold(self, key: str) -> None:
        async with self.semaphore.acquire(key):
            self.running.append(key)
            await self.gate.wait()

    async def start(self, *keys: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.hold(key)) for key in keys]
        await asyncio.sleep(0)
        return tasks


async def test_key_gets_its_share_and_leaves_places_to_others() -> None:
    holders = Holders(FairSemaphore(total=3, per_key=2, queue=5))

    tasks = await holders.start("a", "a", "a", "a", "b", "c")

    assert holders.running == ["a", "a", "b"]
    holders.gate.set()
    await asyncio.gather(*tasks)
    assert sorted(holders.running) == ["a"] * 4 + ["b", "c"]


async def test_acquire_beyond_queue_of_key_raises_at_once() -> None:
    holders = Holders(FairSemaphore(total=9, per_key=1, queue=1))

    first, second, third, other = await holders.start("a", "a", "a", "b")

    with pytest.raises(QueueFull):
        await third
    assert holders.running == ["a", "b"]
    holders.gate.set()
    await asyncio.gather(first, second, other)


async def test_cancelled_waiter_leaves_its_place_and_unused_keys_take_no_memory() -> None:
    holders = Holders(FairSemaphore(total=1, per_key=1, queue=2))
    first, second, third = await holders.start("a", "a", "b")

    second.cancel()
    third.cancel()
    await asyncio.gather(second, third, return_exceptions=True)
    holders.gate.set()
    await first
    (last,) = await holders.start("b")
    await last

    assert (holders.running, len(holders.semaphore)) == (["a", "b"], 0)
