"""One seeded schedule: nodes, clients that use and revoke tokens, and the faults that happen meanwhile."""

import asyncio
import random
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Final

from services.token_authority.domain.actor import SYSTEM
from services.token_authority.domain.errors import Restored, UnknownToken
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.selection import Selection
from services.token_authority.tasks.receipts import Receipts
from shared.contract.sync import revocation_bound_s
from shared.contract.token import digest
from shared.guard.errors import GuardUnavailable, TokenInvalid
from shared.runtime.postgres.database import DatabaseUnavailable
from tests.simulation.database import Server
from tests.simulation.loop import Node
from tests.simulation.network import Link
from tests.simulation.nodes import SECRET, AuthorityNode, GuardNode, Relay
from tests.simulation.restores import Restores
from tests.support.history import History, Outcome, Request, Revocation, create_history, find_violations_of_promise

RECEIPTS: Final = Receipts([SECRET])
ANSWER_LIMIT_S: Final = 3.0
SETTLING_S: Final = 6.0
REASON: Final = Reason("unneeded")


class World:
    """Two authorities, two or three guards and one database, driven by one random number generator."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.history = create_history()
        self.faults = 0
        self.lease_ms = self.chance.choice([200, 300, 500])
        self._wall_offset_s = 0.0
        self.server = Server(self.chance, self._wall)
        self._hurry = asyncio.Event()
        self._relay = Relay(self._publish_soon)
        self.published = 0
        self._nodes_made = 0
        self.tokens = [_token(seed, number) for number in range(self.chance.randint(8, 14))]
        for number, token in enumerate(self.tokens):
            self.server.add_token(f"tok_{number}", digest(token))
        self.authorities = [self._new_authority() for _ in range(2)]
        self.guards = [self._new_guard() for _ in range(self.chance.randint(2, 3))]
        self._leaving: list[GuardNode] = []
        self.restores = Restores(self)

    def any_authority(self) -> AuthorityNode:
        return self.chance.choice(self.authorities)

    async def run(self, length_s: float) -> History:
        """Run load and faults for `length_s` seconds, then heal everything and check every token at every guard."""
        loop = asyncio.get_running_loop()
        end = loop.time() + length_s
        await asyncio.sleep(0.1)
        await asyncio.gather(
            *(self._use(end) for _ in range(2)),
            *(self._revoke_some(end) for _ in range(2)),
            self._break_things(end),
            self.restores.run(end),
        )
        self._heal()
        await self._settle()
        return self.history

    async def _settle(self) -> None:
        """Wait until every guard is right about every token; a revocation may still be in progress."""
        for guard in self.guards:
            for number, token in enumerate(self.tokens):
                try:
                    async with asyncio.timeout(SETTLING_S):
                        while not (guard.lease.is_held and await self._is_right(guard, number, token)):
                            await asyncio.sleep(0.05)
                except TimeoutError:
                    raise AssertionError(f"{guard.node.name} is still wrong about tok_{number}") from None

    async def _is_right(self, guard: GuardNode, number: int, token: str) -> bool:
        outcome = await self._check(guard, token, no_cache=False)
        return outcome == ("accepted" if self.server.works(f"tok_{number}") else "refused")

    def find_violations(self) -> list[str]:
        """Return one line for each request that breaks the promise."""
        requests = [each for each in self.history.requests if not self.restores.excuse(each)]
        return find_violations_of_promise(self.history._replace(requests=requests))

    async def _use(self, end: float) -> None:
        """Send requests in bursts, so that they join introspections in progress."""
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            token = self.chance.choice(self.tokens)
            for _ in range(self.chance.randint(1, 4)):
                self.check_beside(self.chance.choice(self.running_guards()), token)
                await asyncio.sleep(self.chance.expovariate(300))
            await asyncio.sleep(self.chance.expovariate(25))

    async def _revoke_some(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        left = list(enumerate(self.tokens))
        self.chance.shuffle(left)
        while loop.time() < end and len(left) > 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.chance.expovariate(3)):
                    await self._hurry.wait()
            self._hurry.clear()
            await asyncio.sleep(self.chance.expovariate(150))
            chosen = [left.pop()]
            if len(left) > 2 and self.chance.random() < 0.2:
                chosen.append(left.pop())
            for _ in range(self.chance.choice([1, 1, 2])):
                await self._revoke(dict(chosen))

    async def _revoke(self, tokens: dict[int, str]) -> None:
        """Revoke tokens, and use them at every guard right before and right after the answer."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        authority = self.any_authority()
        for token in tokens.values():
            for guard in self.running_guards():
                self.check_beside(guard, token)
        task = authority.node.start(self._is_effective(authority, [f"tok_{number}" for number in tokens]))
        limit_s = 0.3 if self.chance.random() < 0.1 else revocation_bound_s(self.lease_ms / 1000) + ANSWER_LIMIT_S
        done, _ = await asyncio.wait({task}, timeout=limit_s)
        error = task.exception() if done else None
        assert error is None or isinstance(error, DatabaseUnavailable | Restored | UnknownToken), error
        effective = bool(done) and error is None and task.result()
        if not done and self.chance.random() < 0.5:
            task.cancel()
        answered_at = loop.time()
        self.history.revocations.extend(
            Revocation(token[-6:], authority.node.name, sent_at, answered_at, effective=effective)
            for token in tokens.values()
        )
        await asyncio.sleep(1e-6)
        for _ in range(2):
            for token in tokens.values():
                for guard in self.running_guards():
                    self.check_beside(guard, token)
            await asyncio.sleep(self.chance.expovariate(50))

    async def _is_effective(self, authority: AuthorityNode, ids: list[str]) -> bool:
        if len(ids) == 1:
            revocation = await authority.revoker.revoke_held(ids[0], REASON, SYSTEM)
        else:
            bulk = await authority.revoker.revoke_selected(Selection(ids=ids), REASON, SYSTEM)
            if bulk.revocation is None:  # the database went back since they were found to be revoked
                return False
            revocation = bulk.revocation
        return (await authority.confirmations.wait_until_effective(revocation.pending)).effective

    def running_guards(self) -> list[GuardNode]:
        return [*self.guards, *self._leaving]

    def check_beside(self, guard: GuardNode, token: str) -> None:
        no_cache = self.chance.random() < 0.05
        asyncio.get_running_loop().create_task(self._check(guard, token, no_cache=no_cache), context=Context())

    async def _check(self, guard: GuardNode, token: str, *, no_cache: bool) -> Outcome:
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        outcome: Outcome = "unknown"
        if guard.node.alive:
            task = guard.node.start(guard.guard.check(token, no_cache=no_cache))
            done, _ = await asyncio.wait({task}, timeout=ANSWER_LIMIT_S)
            if done:
                outcome = _outcome(task.exception())
            else:
                task.cancel()
        self.history.requests.append(Request(token[-6:], guard.node.name, sent_at, loop.time(), outcome))
        return outcome

    async def _break_things(self, end: float) -> None:
        """Inject faults. Choose few kinds per schedule, so that these often coincide."""
        loop = asyncio.get_running_loop()
        kinds = [
            self._stop_a_node,
            self._kill_a_guard,
            self._kill_an_authority,
            self._cut_some,
            self._slow_some,
            self._lose,
            self._let_lease_expire,
            self._slow_the_database,
            self._replace_a_guard,
            self._trim,
        ]
        kinds = self.chance.sample(kinds, self.chance.randint(1, len(kinds)))
        while loop.time() < end:
            await asyncio.sleep(self.chance.expovariate(6))
            self.faults += 1
            if self.chance.random() < 0.15:
                self._wall_offset_s = self.chance.uniform(-1e5, 1e5)
            else:
                self.chance.choice(kinds)()

    def _stop_a_node(self) -> None:
        node = self.chance.choice(self._nodes())
        node.stop()
        self._schedule(self.chance.choice([0.1, 0.3, 0.6, 1.2]), partial(_resume, node))

    def _kill_a_guard(self) -> None:
        """Kill a guard. Its successor gets its first lease during revocations, and often nothing else for a while."""
        place = self.chance.randrange(len(self.guards))
        self.guards[place].node.kill()
        guard = self.guards[place] = self._new_guard()
        if self.chance.random() < 0.7:
            self._slow_the_database()
            self._slow_down([guard.syncs])
            self._cut([guard.pushes])
        for _ in range(3):
            self._schedule(self.chance.uniform(0, 0.2), self._hurry.set)

    def _replace_a_guard(self) -> None:
        """Shut down a guard, which answers requests until its end, and start another."""
        place = self.chance.randrange(len(self.guards))
        leaving, self.guards[place] = self.guards[place], self._new_guard()
        if leaving.node.alive:
            leaving.node.start(leaving.leave())
            self._leaving.append(leaving)
            self._schedule(self.chance.uniform(0, 1), partial(self._remove_guard, leaving))

    def _remove_guard(self, guard: GuardNode) -> None:
        guard.node.kill()
        self._leaving.remove(guard)

    def _trim(self) -> None:
        authority = self.any_authority()
        if authority.node.alive:
            authority.node.start(authority.trim())

    def restart_authorities(self) -> None:
        """Replace every authority by one that remembers nothing."""
        for place in range(len(self.authorities)):
            self._replace_authority(place)

    def _kill_an_authority(self) -> None:
        self._replace_authority(self.chance.randrange(len(self.authorities)))

    def _replace_authority(self, place: int) -> None:
        node = self.authorities[place].node
        node.kill()
        self.server.lose(node)
        self.authorities[place] = self._new_authority()

    def _cut_some(self) -> None:
        """Cut links of a guard, often those that bring changes, but not the introspections."""
        links = self.chance.choice(self.guards).links
        self._cut(self.chance.choice([links, links[1:], links[1:], links[2:], links[:1]]))

    def _cut(self, links: Sequence[Link]) -> None:
        for link in links:
            link.cut = True
            self._schedule(self.chance.uniform(0.2, 1.2), partial(setattr, link, "cut", False))

    def _let_lease_expire(self) -> None:
        """Let a guard's lease expire and be removed; the guard gets a new one during revocations."""
        guard, absence_s = self.chance.choice(self.guards), self.lease_ms / 1000 * self.chance.uniform(1.2, 2.5)
        guard.syncs.cut = guard.pushes.cut = True
        self._schedule(absence_s, partial(setattr, guard.syncs, "cut", False))
        self._schedule(absence_s, self._slow_the_database)
        for _ in range(3):
            self._schedule(absence_s + self.chance.uniform(0, 0.2), self._hurry.set)
        self._schedule(absence_s + 0.5, partial(setattr, guard.pushes, "cut", False))

    def _slow_the_database(self) -> None:
        self.server.slow_s = self.chance.choice([0.01, 0.03])
        self._schedule(self.chance.uniform(0.1, 0.4), partial(setattr, self.server, "slow_s", 0.0))

    def _slow_some(self) -> None:
        self._slow_down(self.chance.sample(self.chance.choice(self.guards).links, self.chance.randint(1, 3)))

    def _slow_down(self, links: Sequence[Link]) -> None:
        for link in links:
            link.slow_s = self.chance.choice([0.05, 0.3, 0.6])
            self._schedule(self.chance.uniform(0.2, 1.2), partial(setattr, link, "slow_s", 0.0))

    def _lose(self) -> None:
        for link in self.chance.choice(self.guards).links:
            link.loss = self.chance.choice([0.2, 0.5])
            self._schedule(self.chance.uniform(0.2, 1.2), partial(setattr, link, "loss", 0.0))

    def _heal(self) -> None:
        self.server.slow_s = 0.0
        for guard in self.guards:
            for link in guard.links:
                link.cut, link.slow_s, link.loss = False, 0.0, 0.0
        for node in self._nodes():
            node.resume()

    def _nodes(self) -> list[Node]:
        return [*(each.node for each in self.authorities), *(each.node for each in self.running_guards())]

    def _publish_soon(self) -> None:
        self._schedule(self.chance.expovariate(500), self._publish)

    def _publish(self) -> None:
        """Push new changes to each guard, as one push or several, sometimes twice."""
        new = [row for row in self.server.log if row.seq > self.published]
        self.published = max([self.published, *(row.seq for row in new)])
        changes = [RECEIPTS.with_receipt(row) for row in new]
        for guard in self.guards:
            pushes = [changes] if self.chance.random() < 0.5 else [[change] for change in changes]
            for push in pushes * self.chance.choice([1, 1, 1, 2]):
                guard.pushes.send(partial(guard.follower.apply_push, push), guard.node)

    def _schedule(self, delay_s: float, do: Callable[[], Any]) -> None:
        asyncio.get_running_loop().call_later(delay_s, do, context=Context())

    def _new_authority(self) -> AuthorityNode:
        """Start an authority. Some have a shorter lease than others, as during a rolling restart."""
        self._nodes_made += 1
        lease_ms = self.lease_ms // self.chance.choice([1, 1, 1, 3])
        return AuthorityNode(f"authority {self._nodes_made}", self.server, lease_ms, self._clock(), self._relay)

    def _new_guard(self) -> GuardNode:
        self._nodes_made += 1
        return GuardNode(f"guard {self._nodes_made}", self._clock(), self._wall, self.chance, self)

    def _clock(self) -> Callable[[], float]:
        """Return a clock with its own offset and rate."""
        loop, offset_s, rate = (
            asyncio.get_running_loop(),
            self.chance.uniform(0, 1e5),
            self.chance.uniform(0.995, 1.005),
        )
        return lambda: offset_s + loop.time() * rate

    def _wall(self) -> float:
        return 1_800_000_000.0 + asyncio.get_running_loop().time() + self._wall_offset_s


def _resume(node: Node) -> None:
    if node.alive:
        node.resume()


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return "accepted"
    if isinstance(error, TokenInvalid):
        return "refused"
    assert isinstance(error, GuardUnavailable | DatabaseUnavailable), error
    return "unknown"


def _token(seed: int, number: int) -> str:
    """Return a well-formed token that depends on the seed only."""
    unsigned = f"pgt_{seed:024d}{number:08d}"
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    checksum, rest = "", zlib.crc32(unsigned.encode())
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        checksum = digits[digit] + checksum
    return unsigned + checksum
