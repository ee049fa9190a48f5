"""Clients that use tokens at every replica, revoke some, and record every call with its times."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import aiohttp
import msgspec

from shared.runtime.process.clock import elapsed_s
from tests.faults.cluster_processes import ServiceProcess
from tests.support.history import FOREVER, Outcome, Request, Revocation, create_history

REQUEST_LIMIT_S: Final = 10.0
REVOCATION_LIMIT_S: Final = 20.0
MANAGEMENT_LIMIT_S: Final = 4.0
OFTEN_S: Final = 0.04
SETTLING_S: Final = 20.0
KEPT: Final = 12
"""The number of working tokens in use at a time, and of recently revoked tokens that are tried again."""


class Services(Protocol):
    """The processes of both services, and an admin key."""

    @property
    def authorities(self) -> Sequence[ServiceProcess]: ...
    @property
    def replicas(self) -> Sequence[ServiceProcess]: ...
    @property
    def admin_key(self) -> str: ...


class Token(msgspec.Struct, frozen=True):
    """A token as its bearer knows it."""

    id: str
    token: str
    scopes: list[str]

    @property
    def is_narrow(self) -> bool:
        """Whether the token is for PLAT only."""
        return "polls:*:*" not in self.scopes


class Load:
    """Run clients until stopped. `history` has every call."""

    def __init__(self, services: Services, session: aiohttp.ClientSession, chance: random.Random) -> None:
        self.history = create_history()
        self.acknowledged: dict[str, Token] = {}
        self.alive: dict[str, Token] = {}
        self._services = services
        self._session = session
        self._chance = chance
        self._endpoint = ""
        self._lost: list[tuple[float, float]] = []
        self._issued: dict[str, tuple[float, float]] = {}

    async def prepare(self) -> None:
        """Find the site, and issue the first tokens."""
        sites = await self._manage("GET", "/v1/sites")
        assert sites is not None
        self._endpoint = sites["items"][0]["endpoint_id"]
        while len(self.alive) < KEPT:
            await self._issue()

    async def run(self, stop: asyncio.Event) -> None:
        """Run several clients until `stop` is set."""
        await asyncio.gather(*(self._use(stop) for _ in range(2)), *(self._revoke(stop) for _ in range(2)))

    async def use_everywhere(self, tokens: Iterable[Token]) -> list[Request]:
        """Use each token at every replica, at once."""
        calls = [self.use(token, replica) for token in tokens for replica in self._services.replicas]
        return await asyncio.gather(*calls)

    async def use(self, token: Token, replica: ServiceProcess) -> Request:
        """Send one request for PLAT and record it."""
        request = await self._get(token, replica, "PLAT")
        self.history.requests.append(request)
        return request

    async def status(self, token: Token) -> str | None:
        """Return the token's status at the authority, or `None` without an answer."""
        shown = await self._manage("GET", f"/v1/tokens/{token.id}")
        return None if shown is None else str(shown["status"])

    async def wait_until_settled(self, limit_s: float = SETTLING_S) -> None:
        """Wait until every replica has a lease."""
        async with asyncio.timeout(limit_s):
            for replica in self._services.replicas:
                while not await self._has_lease(replica):
                    await asyncio.sleep(0.1)

    async def _has_lease(self, replica: ServiceProcess) -> bool:
        async with self._session.get(f"{replica.base}/readyz") as answer:
            document = await answer.json()
        return bool(document["status"] == "ready" and document["checks"]["lease"] == "ok")

    async def find_lost(self) -> list[str]:
        """Return a line for each acknowledged revocation that is lost, and each token that should work and does not."""
        found = []
        for token in self.acknowledged.values():
            status = await self.status(token)
            if status != "revoked":
                found.append(f"{token.id} has status {status} although its revocation was acknowledged")
        recent = list(self.acknowledged.values())[-200:]
        found += [
            f"{each.guard} does not refuse {each.token}: {each.outcome}"
            for each in await self._use_one_by_one(recent)
            if each.outcome != "refused"
        ]
        found += [
            f"{each.guard} does not accept {each.token}: {each.outcome}"
            for each in await self._use_one_by_one(self.alive.values())
            if each.outcome != "accepted"
        ]
        return found

    async def _use_one_by_one(self, tokens: Iterable[Token]) -> list[Request]:
        return [request for token in tokens for request in await self.use_everywhere([token])]

    def lose(self, begin: float, end: float) -> None:
        """Expect that tokens may be unknown that were issued from `begin` to `end`, because a backup is restored."""
        self._lost.append((begin, end))
        for token_id in self._issued:
            self._forget_lost(token_id)

    def _forget_lost(self, token_id: str) -> None:
        """Forget a token that may be unknown. Then it may be refused from when it was issued."""
        sent_at, answered_at = self._issued[token_id]
        if any(sent_at < end and answered_at > begin for begin, end in self._lost):
            self.alive.pop(token_id, None)
            self.acknowledged.pop(token_id, None)
            self.history.revocations.append(Revocation(token_id, "restore", sent_at, FOREVER, effective=False))

    async def _use(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            revoked = list(self.acknowledged.values())[-KEPT:]
            known = [*self.alive.values(), *revoked]
            if not known:
                await asyncio.sleep(OFTEN_S)
                continue
            token = self._chance.choice(known)
            replica = self._chance.choice(self._services.replicas)
            if token.is_narrow and self._chance.random() < 0.5:
                self.history.beyond.append(await self._get(token, replica, "OTHER"))
            else:
                await self.use(token, replica)
            await asyncio.sleep(self._chance.expovariate(1 / OFTEN_S))

    async def _revoke(self, stop: asyncio.Event) -> None:
        """Revoke tokens, and use them at every replica before and after. Repeat revocations that are not effective."""
        while not stop.is_set():
            count = min(self._chance.choice([1, 1, 1, 2]), len(self.alive))
            chosen = [self.alive.pop(each) for each in self._chance.sample(sorted(self.alive), count)]
            await self.use_everywhere(chosen)
            for _ in range(self._chance.randint(1, 3)):
                if await self._end(chosen):
                    self.acknowledged.update((token.id, token) for token in chosen)
                    for token in chosen:
                        self._forget_lost(token.id)
                    break
            await self.use_everywhere(chosen)
            while len(self.alive) < KEPT and not stop.is_set():
                await self._issue()
            await asyncio.sleep(self._chance.expovariate(4))

    async def _end(self, tokens: list[Token]) -> bool:
        authority, sent_at = self._chance.choice(self._services.authorities), elapsed_s()
        wait = "?wait=false" if self._chance.random() < 0.1 else ""
        body: dict[str, Any] = {"reason": "unneeded"}
        if len(tokens) == 1:
            path = f"/v1/tokens/{tokens[0].id}/revoke{wait}"
        else:
            path, body["ids"] = f"/v1/tokens/revoke{wait}", [token.id for token in tokens]
        answer = await self._call(authority, "POST", path, body, limit_s=REVOCATION_LIMIT_S)
        effective = answer is not None and bool((answer.get("revocation") or answer).get("effective"))
        answered_at = elapsed_s()
        self.history.revocations.extend(
            Revocation(token.id, authority.name, sent_at, answered_at, effective=effective) for token in tokens
        )
        return effective

    async def _issue(self) -> None:
        scope, sent_at = self._chance.choice(["polls:*:*", "polls:*:*", "polls:read:PLAT"]), elapsed_s()
        made = await self._manage("POST", "/v1/tokens", {"name": "of the load", "scopes": [scope]})
        if made is None:
            await asyncio.sleep(0.1)
            return
        token = msgspec.convert(made, Token)
        self.alive[token.id] = token
        self._issued[token.id] = (sent_at, elapsed_s())
        self._forget_lost(token.id)

    async def _manage(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        authority = self._chance.choice(self._services.authorities)
        return await self._call(authority, method, path, body, limit_s=MANAGEMENT_LIMIT_S)

    async def _call(
        self, authority: ServiceProcess, method: str, path: str, body: Any, *, limit_s: float
    ) -> dict[str, Any] | None:
        """Return the JSON of a successful answer, else `None`."""
        headers = {"Authorization": f"Bearer {self._services.admin_key}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=limit_s)
        try:
            async with self._session.request(
                method, authority.base + path, headers=headers, data=data, timeout=timeout
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        if answer.status >= 400:
            return None
        return dict(msgspec.json.decode(content))

    async def _get(self, token: Token, replica: ServiceProcess, workspace: str) -> Request:
        query = {"token": token.token, "type": "polls", "workspace": workspace, "content": f"{workspace}-1"}
        timeout = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
        sent_at = elapsed_s()
        outcome: Outcome = "unknown"
        try:
            url = f"{replica.base}/x1/{self._endpoint}"
            async with self._session.get(url, params=query, timeout=timeout) as answer:
                await answer.read()
            outcome = _outcome(answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        return Request(token.id, replica.name, sent_at, elapsed_s(), outcome)


def _outcome(status: int) -> Outcome:
    if status == 200:
        return "accepted"
    return "refused" if status in (401, 403) else "unknown"
