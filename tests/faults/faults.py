"""What goes wrong, in an order that a seed decides: every kind once, and then any of them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from typing import Final

from tests.faults.parts import Part, PostgresPart
from tests.faults.stage import Stage
from tests.support.proxy import Mode, Proxy

ErrorDetail = Callable[[], Coroutine[None, None, bool]]
"""Breaks something and mends it; false where it was broken already."""

SHORTEST_STOP_S: Final = 1.0


class Faults:
    """Breaks one thing after the other, some of them at once. `longest_stop_s` bounds how long one lasts."""

    def __init__(self, stage: Stage, chance: random.Random, longest_stop_s: float) -> None:
        self.seen: Counter[str] = Counter()
        self._stage = stage
        self._chance = chance
        self._longest_stop_s = longest_stop_s
        self._busy: set[object] = set()

    async def run(self, length_s: float) -> None:
        """For about so long; everything is whole again at the end."""
        loop = asyncio.get_running_loop()
        kinds = self._kinds()
        names = sorted(kinds)
        self._chance.shuffle(names)
        end = loop.time() + length_s
        async with asyncio.TaskGroup() as group:
            while loop.time() < end:
                name = names.pop() if names else self._chance.choice(sorted(kinds))
                fault = group.create_task(self._break(name, kinds[name]))
                await asyncio.wait({fault}, timeout=self._chance.uniform(0.5, self._longest_stop_s))
                await asyncio.sleep(self._chance.uniform(0.1, 0.6))

    async def _break(self, name: str, fault: ErrorDetail) -> None:
        if await fault():
            self.seen[name] += 1

    def _kinds(self) -> dict[str, ErrorDetail]:
        stage = self._stage
        kinds: dict[str, ErrorDetail] = {
            "redis restarted, data lost": lambda: self._restart(stage.redis),
            "redis stopped": lambda: self._stop(stage.redis),
            "postgres stopped": lambda: self._stop(stage.postgres),
            "postgres killed": self._crash_postgres,
            "authority ended": lambda: self._restart(self._chance.choice(stage.authorities), in_order=True),
            "authority killed": lambda: self._restart(self._chance.choice(stage.authorities)),
            "authority stopped": lambda: self._stop(self._chance.choice(stage.authorities)),
            "replica ended": lambda: self._restart(self._chance.choice(stage.replicas), in_order=True),
            "replica killed": lambda: self._restart(self._chance.choice(stage.replicas)),
            "replica stopped": lambda: self._stop(self._chance.choice(stage.replicas)),
        }
        modes: tuple[Mode, ...] = ("black hole", "refuse")
        for mode in modes:
            kinds |= {
                f"replica from authority: {mode}": partial(self._cut, mode, "polls", "authority"),
                f"replica from redis: {mode}": partial(self._cut, mode, "polls", "redis"),
                f"replica from all but postgres: {mode}": partial(self._cut, mode, "polls", "authority", "redis"),
                f"service from postgres: {mode}": partial(self._cut, mode, "", "postgres"),
                f"authority from redis: {mode}": partial(self._cut, mode, "authority", "redis"),
            }
        return kinds

    async def _stop(self, part: Part | PostgresPart) -> bool:
        with self._claimed(part) as free:
            if free:
                part.stop()
                try:
                    await asyncio.sleep(self._stop_s())
                finally:
                    part.go_on()
        return free

    async def _restart(self, part: Part, *, in_order: bool = False) -> bool:
        with self._claimed(part) as free:
            if free:
                await (part.leave() if in_order else part.kill())
                await asyncio.sleep(self._chance.uniform(0, 1))
                await part.start_again()
        return free

    async def _crash_postgres(self) -> bool:
        with self._claimed(self._stage.postgres) as free:
            if free:
                await self._stage.postgres.crash()
                await asyncio.sleep(1)
        return free

    async def _cut(self, mode: Mode, whose: str, *ways: str) -> bool:
        names = sorted(name for name in self._stage.links if name.startswith(whose))
        links = self._stage.links[self._chance.choice(names)]
        proxies: list[Proxy] = [getattr(links, way) for way in ways]
        with self._claimed(*proxies) as free:
            if free:
                for proxy in proxies:
                    proxy.become(mode)
                await asyncio.sleep(self._stop_s())
                for proxy in proxies:
                    proxy.become("ok")
        return free

    @contextmanager
    def _claimed(self, *things: object) -> Generator[bool, None, None]:
        """Whether none of them is broken already: one fault at a time for one process and one way."""
        if not self._busy.isdisjoint(things):
            yield False
            return
        self._busy.update(things)
        try:
            yield True
        finally:
            self._busy.difference_update(things)

    def _stop_s(self) -> float:
        return self._chance.uniform(SHORTEST_STOP_S, self._longest_stop_s)
