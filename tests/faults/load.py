"""Clients that use tokens at every replica and revoke some, and write down every call with its times."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
import msgspec

from shared.runtime.process.clock import elapsed_s
from tests.faults.parts import ServicePart
from tests.faults.stage import Stage
from tests.support.history import Outcome, Request, Revocation, new_history

REQUEST_LIMIT_S: Final = 10.0
REVOCATION_LIMIT_S: Final = 20.0
MANAGEMENT_LIMIT_S: Final = 4.0
OFTEN_S: Final = 0.04
KEPT: Final = 12
"""Tokens that are in use at a time, and as many revoked ones that are tried on."""


class Token(msgspec.Struct, frozen=True):
    """A token as its holder has it."""

    id: str
    token: str
    scopes: list[str]

    @property
    def is_narrow(self) -> bool:
        """Whether it is for PLAT alone."""
        return "polls:*:*" not in self.scopes


class Load:
    """Runs until it is told to stop; everything it sees is in `history`."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession, chance: random.Random) -> None:
        self.history = new_history()
        self.acknowledged: dict[str, Token] = {}
        self.alive: dict[str, Token] = {}
        self._stage = stage
        self._session = session
        self._chance = chance
        self._endpoint = ""

    async def prepare(self) -> None:
        """Find the site, and issue the first tokens."""
        sites = await self._manage("GET", "/v1/sites")
        assert sites is not None
        self._endpoint = sites["items"][0]["endpoint_id"]
        while len(self.alive) < KEPT:
            await self._issue()

    async def run(self, stop: asyncio.Event) -> None:
        """Several clients at once."""
        await asyncio.gather(*(self._use(stop) for _ in range(2)), *(self._revoke(stop) for _ in range(2)))

    async def use_everywhere(self, tokens: Iterable[Token]) -> list[Request]:
        """Use each token at every replica, at once."""
        calls = [self.use(token, replica) for token in tokens for replica in self._stage.replicas]
        return await asyncio.gather(*calls)

    async def use(self, token: Token, replica: ServicePart) -> Request:
        """One request at PLAT."""
        request = await self._get(token, replica, "PLAT")
        self.history.requests.append(request)
        return request

    async def status(self, token: Token) -> str | None:
        """What the authority says of it."""
        shown = await self._manage("GET", f"/v1/tokens/{token.id}")
        return None if shown is None else str(shown["status"])

    async def _use(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            revoked = list(self.acknowledged.values())[-KEPT:]
            token = self._chance.choice([*self.alive.values(), *revoked])
            replica = self._chance.choice(self._stage.replicas)
            if token.is_narrow and self._chance.random() < 0.5:
                self.history.beyond.append(await self._get(token, replica, "OTHER"))
            else:
                await self.use(token, replica)
            await asyncio.sleep(self._chance.expovariate(1 / OFTEN_S))

    async def _revoke(self, stop: asyncio.Event) -> None:
        """What is not in force when answered is often asked again, and what is is used at every replica at once."""
        while not stop.is_set():
            count = self._chance.choice([1, 1, 1, 2])
            chosen = [self.alive.pop(each) for each in self._chance.sample(sorted(self.alive), count)]
            await self.use_everywhere(chosen)
            for _ in range(self._chance.randint(1, 3)):
                if await self._end(chosen):
                    self.acknowledged.update((token.id, token) for token in chosen)
                    break
            await self.use_everywhere(chosen)
            while len(self.alive) < KEPT and not stop.is_set():
                await self._issue()
            await asyncio.sleep(self._chance.expovariate(4))

    async def _end(self, tokens: list[Token]) -> bool:
        authority, sent_at = self._chance.choice(self._stage.authorities), elapsed_s()
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
        scope = self._chance.choice(["polls:*:*", "polls:*:*", "polls:read:PLAT"])
        made = await self._manage("POST", "/v1/tokens", {"name": "of the load", "scopes": [scope]})
        if made is None:
            await asyncio.sleep(0.1)
            return
        token = msgspec.convert(made, Token)
        self.alive[token.id] = token

    async def _manage(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        authority = self._chance.choice(self._stage.authorities)
        return await self._call(authority, method, path, body, limit_s=MANAGEMENT_LIMIT_S)

    async def _call(
        self, authority: ServicePart, method: str, path: str, body: Any, *, limit_s: float
    ) -> dict[str, Any] | None:
        """The JSON of a good answer."""
        headers = {"Authorization": f"Bearer {self._stage.admin_key}", "Content-Type": "application/json"}
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

    async def _get(self, token: Token, replica: ServicePart, workspace: str) -> Request:
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
