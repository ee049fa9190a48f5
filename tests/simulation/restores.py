"""In some schedules, the database goes back to an earlier state, and an operator finishes the restoration.

Some operators announce the restore before any process uses the database. Others do not know of it, as after a failover
to a standby without the last commits: then guards and processes have to notice it.
"""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any, Final, NamedTuple, Protocol

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.journal import MergedJournals
from services.token_authority.domain.restoration import Choice, Decision
from services.token_authority.operations.restore import FinishedRestoration, LossesUnknown, finish
from shared.runtime.postgres.database import DatabaseUnavailable
from tests.simulation.database import Backup, Database, Server
from tests.simulation.loop import Node
from tests.simulation.nodes import FOREVER, GuardNode
from tests.support.history import History, Request, Revocation

CHOICES: Final[tuple[Choice, ...]] = ("accept-risk", "revoke-working-tokens")
OPERATOR: Final = Actor("operator", "ada")
NO_JOURNAL: Final = MergedJournals((), 0)
BEGUN_BY_OPERATOR: Final = b'{"source": "operator", "detail": "restored"}'


class Restored(Protocol):
    """The world in which the database goes back."""

    chance: random.Random
    history: History
    server: Server
    tokens: list[str]
    lease_ms: int
    published: int
    faults: int

    def running_guards(self) -> list[GuardNode]: ...
    def check_beside(self, guard: GuardNode, token: str) -> None: ...
    def restart_authorities(self) -> None: ...


class Excuse(NamedTuple):
    """Requests with a token that were answered after `begin` and sent before `end` do not count, but at `knowers`."""

    token: str
    begin: float
    end: float
    knowers: frozenset[str] = frozenset()


class Restores:
    """Lets the database go back in some schedules, once. `count` says how often it has."""

    def __init__(self, world: Restored) -> None:
        self._world = world
        self._chance = world.chance
        self._excuses: list[Excuse] = []
        self.count = 0

    async def run(self, end: float) -> None:
        """Take backups until a random time, and restore one of them."""
        loop, server = asyncio.get_running_loop(), self._world.server
        if self._chance.random() < 0.5:
            return
        backups = []
        goes_back_at = loop.time() + (end - loop.time()) * self._chance.uniform(0.2, 0.9)
        while loop.time() < goes_back_at:
            await asyncio.sleep(self._chance.expovariate(20))
            backups.append(server.back_up())
        older = [backup for backup in backups if backup.head < server.head]
        if older:
            await self._restore(self._chance.choice(older))

    def excuse(self, request: Request) -> bool:
        """Return whether no one could have known that the token was revoked when the request was accepted.

        Without a journal, a token may work again at a guard that did not know of its revocation, until something that
        does know it has proven that the database went back, or if an operator has accepted this risk.
        """
        return any(
            request.token == each.token
            and request.answered_at >= each.begin
            and request.sent_at <= each.end
            and request.guard not in each.knowers
            for each in self._excuses
        )

    async def _restore(self, backup: Backup) -> None:
        world, loop = self._world, asyncio.get_running_loop()
        lost, went_back_at = world.server.back_up(), loop.time()
        knowledge = {guard.name: guard.applied for guard in world.running_guards()}
        world.server.go_back(backup)
        if self._chance.random() < 0.5:
            world.restart_authorities()
        world.published = min(world.published, world.server.head)
        self.count += 1
        world.faults += 1
        await self._wait_until_begun()
        self._excuse_ignorance(lost, backup, knowledge, went_back_at)
        meanwhile = [number for number in self._numbers() if backup.works(number) and not world.server.works(number)]
        if self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.uniform(0, 0.5))
        finishing_at = loop.time()
        await self._finish()
        for number in meanwhile:  # it may not have waited for guards whose leases the database lacked
            self._excuses.append(Excuse(self._name_of(number), went_back_at, loop.time()))
        self._note_outcome(finishing_at)
        await self._use_every_token()

    async def _wait_until_begun(self) -> None:
        """Wait until the restoration has begun: by a proof, or at the latest by the operator."""
        server, loop = self._world.server, asyncio.get_running_loop()
        limit = loop.time() + self._chance.choice([0, 0, 0.3, 0.6, 1.2])
        while server.restoration is None and loop.time() < limit:
            await asyncio.sleep(0.001)
        if server.restoration is None:
            server.begin_restoration(BEGUN_BY_OPERATOR, 0)

    async def _finish(self) -> None:
        database, choice = Database(self._world.server), self._chance.choice(CHOICES)
        lease_s = self._world.lease_ms / 1000
        while True:
            decision = Decision(choice, OPERATOR, "simulated")
            finishing = finish(database, decision, journals=NO_JOURNAL, lease_s=lease_s)  # type: ignore[arg-type]
            if await Node("operator").start(_retryable(finishing)) is not None:
                return
            await asyncio.sleep(0.05)

    def _excuse_ignorance(
        self, lost: Backup, backup: Backup, knowledge: Mapping[str, int], went_back_at: float
    ) -> None:
        """Excuse guards that did not know a lost revocation, until the restoration has begun."""
        now = asyncio.get_running_loop().time()
        for number in self._numbers():
            seq = lost.tokens[number]["revoked_seq"]
            if seq is not None and backup.works(number):
                knowers = frozenset(name for name, applied in knowledge.items() if applied >= seq)
                self._excuses.append(Excuse(self._name_of(number), went_back_at, now, knowers))

    def _note_outcome(self, finishing_at: float) -> None:
        """Expect that what is ended now stays ended. For the rest, the operator has accepted the risk."""
        now = asyncio.get_running_loop().time()
        for number in self._numbers():
            name = self._name_of(number)
            if self._world.server.works(number):
                self._excuses.append(Excuse(name, finishing_at, FOREVER))
            else:
                self._world.history.revocations.append(Revocation(name, "operator", finishing_at, now, effective=True))

    async def _use_every_token(self) -> None:
        await asyncio.sleep(1e-6)
        for _ in range(3):
            for token in self._world.tokens:
                for guard in self._world.running_guards():
                    self._world.check_beside(guard, token)
            await asyncio.sleep(self._chance.expovariate(30))

    def _numbers(self) -> list[str]:
        return list(self._world.server.tokens)

    def _name_of(self, token_id: str) -> str:
        return self._world.tokens[int(token_id.removeprefix("tok_"))][-6:]


async def _retryable(
    finishing: Coroutine[Any, Any, FinishedRestoration | LossesUnknown | None],
) -> FinishedRestoration | LossesUnknown | None:
    try:
        return await finishing
    except DatabaseUnavailable:
        return None
