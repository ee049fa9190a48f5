"""The faults of a run, in an order that depends on a seed: every kind once, then random ones."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from typing import Final

from shared.runtime.process.clock import elapsed_s
from tests.faults.cluster import Cluster
from tests.faults.cluster_processes import ClusterProcess, PostgresServer
from tests.faults.load import Load
from tests.faults.restores import back_up, finish, restore
from tests.support.proxy import Mode, Proxy

Fault = Callable[[], Coroutine[None, None, bool]]
"""Break something and repair it. Return false if it was broken already."""

SHORTEST_STOP_S: Final = 1.0


class Faults:
    """Inject faults, some of them at the same time. `longest_stop_s` is the longest duration of one in seconds."""

    def __init__(self, cluster: Cluster, load: Load, chance: random.Random, longest_stop_s: float) -> None:
        self.seen: Counter[str] = Counter()
        self._cluster = cluster
        self._load = load
        self._chance = chance
        self._longest_stop_s = longest_stop_s
        self._busy: set[object] = set()

    async def run(self, length_s: float) -> None:
        """Inject faults for about `length_s` seconds; everything is repaired at the end."""
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

    async def _break(self, name: str, fault: Fault) -> None:
        if await fault():
            self.seen[name] += 1

    def _kinds(self) -> dict[str, Fault]:
        cluster = self._cluster
        kinds: dict[str, Fault] = {
            "redis restarted, data lost": lambda: self._restart(cluster.redis),
            "redis stopped": lambda: self._stop(cluster.redis),
            "postgres stopped": lambda: self._stop(cluster.postgres),
            "postgres killed": self._crash_postgres,
            "backup restored": self._restore_backup,
            "authority ended": lambda: self._restart(self._chance.choice(cluster.authorities), gracefully=True),
            "authority killed": lambda: self._restart(self._chance.choice(cluster.authorities)),
            "authority stopped": lambda: self._stop(self._chance.choice(cluster.authorities)),
            "replica ended": lambda: self._restart(self._chance.choice(cluster.replicas), gracefully=True),
            "replica killed": lambda: self._restart(self._chance.choice(cluster.replicas)),
            "replica stopped": lambda: self._stop(self._chance.choice(cluster.replicas)),
        }
        modes: tuple[Mode, ...] = ("black hole", "refuse")
        for mode in modes:
            kinds |= {
                f"replica from authority: {mode}": partial(self._cut, mode, "polls", "authority"),
                f"replica from redis: {mode}": partial(self._cut, mode, "polls", "redis"),
                f"replica from all except postgres: {mode}": partial(self._cut, mode, "polls", "authority", "redis"),
                f"service from postgres: {mode}": partial(self._cut, mode, "", "postgres"),
                f"authority from redis: {mode}": partial(self._cut, mode, "authority", "redis"),
            }
        return kinds

    async def _stop(self, process: ClusterProcess | PostgresServer) -> bool:
        with self._claim(process) as free:
            if free:
                process.stop()
                try:
                    await asyncio.sleep(self._stop_s())
                finally:
                    process.resume()
        return free

    async def _restart(self, process: ClusterProcess, *, gracefully: bool = False) -> bool:
        with self._claim(process) as free:
            if free:
                await (process.terminate() if gracefully else process.kill())
                await asyncio.sleep(self._chance.uniform(0, 1))
                await process.restart()
        return free

    async def _crash_postgres(self) -> bool:
        with self._claim(self._cluster.postgres) as free:
            if free:
                await self._cluster.postgres.crash()
                await asyncio.sleep(1)
        return free

    async def _restore_backup(self) -> bool:
        """Back the database up, go on for a while, and restore the backup as docs/backup.md says."""
        cluster = self._cluster
        with self._claim(cluster.postgres, *cluster.authorities) as free:
            if free:
                backup = await back_up(cluster)
                await asyncio.sleep(self._chance.uniform(1, self._longest_stop_s))
                for authority in cluster.authorities:
                    await authority.terminate()
                self._load.lose(backup.began_at, elapsed_s())
                await restore(cluster, backup)
                for authority in cluster.authorities:
                    await authority.restart()
                await finish(cluster)
        return free

    async def _cut(self, mode: Mode, prefix: str, *targets: str) -> bool:
        names = sorted(name for name in self._cluster.links if name.startswith(prefix))
        links = self._cluster.links[self._chance.choice(names)]
        proxies: list[Proxy] = [getattr(links, target) for target in targets]
        with self._claim(*proxies) as free:
            if free:
                for proxy in proxies:
                    proxy.set_mode(mode)
                await asyncio.sleep(self._stop_s())
                for proxy in proxies:
                    proxy.set_mode("ok")
        return free

    @contextmanager
    def _claim(self, *things: object) -> Generator[bool, None, None]:
        """Claim the things and yield true, unless one is broken already: one fault at a time per process or proxy."""
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
