"""The site whose polls are measured: its caller, who may do everything, and polls that are made for a measurement."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from bench.errors import BenchError
from pollgate.client import AuthorityClient

OPTIONS: Final = [{"id": f"option-{number}", "title": f"Option {number}"} for number in range(1, 6)]
LONG_S: Final = 120.0


class Integrator:
    """Calls one polls process with a token for everything."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session = session
        self._base = base
        self.token = token

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """What a good answer holds, `None` where it has no body. Raises `BenchError` where it is no success."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        limit = aiohttp.ClientTimeout(total=LONG_S)
        async with self._session.request(
            method, self._base + path, data=data, headers=headers, timeout=limit
        ) as answer:
            read = await answer.read()
        if answer.status >= 300:
            raise BenchError(f"{method} {path} was answered with {answer.status}: {read[:300]!r}")
        return msgspec.json.decode(read) if read else None

    async def make_poll(self, workspace: str, settings: Mapping[str, Any] | None = None) -> str:
        """A new poll of five options; its id."""
        location = {"workspace": workspace, "content": f"{workspace}-1"}
        body = {"title": "Which of these?", "location": location, "options": OPTIONS, "settings": settings or {}}
        return str((await self("POST", "/v1/polls", body))["id"])

    async def vote(self, poll_id: str, participant: str, *option_ids: str) -> None:
        """Cast a ballot."""
        await self("PUT", f"/v1/polls/{poll_id}/votes/{participant}", {"optionIds": option_ids})


async def token_for_everything(authority: AuthorityClient) -> str:
    """A new one."""
    return (await authority.create_token("Bench", ["polls:*:*"])).token
