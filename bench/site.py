"""The site whose polls are measured: a client that may do everything, and what its service reports in `/metrics`."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.errors import BenchError
from pollgate.client import AuthorityClient

OPTIONS: Final = [{"id": f"option-{number}", "title": f"Option {number}"} for number in range(1, 6)]
REQUEST_LIMIT_S: Final = 120.0


class Integrator:
    """Calls one polls process with a token for everything."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session = session
        self._base = base
        self.token = token

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the decoded body, `None` without one. Raise `BenchError` unless it succeeds."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        limit = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
        async with self._session.request(
            method, self._base + path, data=data, headers=headers, timeout=limit
        ) as response:
            content = await response.read()
        if response.status >= 300:
            raise BenchError(f"{method} {path} returned {response.status}: {content[:300]!r}")
        return msgspec.json.decode(content) if content else None

    async def create_poll(
        self, workspace: str, settings: Mapping[str, Any] | None = None, content: str | None = None
    ) -> str:
        """Create a poll with five options and return its id."""
        location = {"workspace": workspace, "content": content or f"{workspace}-1"}
        body = {"title": "Which of these?", "location": location, "options": OPTIONS, "settings": settings or {}}
        return str((await self("POST", "/v1/polls", body))["id"])

    async def share(self, poll_id: str) -> str:
        """Create a shared link without limits, and return the path that it opens."""
        link = await self("POST", f"/v1/polls/{poll_id}/links", {"kind": "shared", "maxPerAddress": None})
        return "/p/" + str(link["url"].rpartition("/p/")[2])

    async def count_participants(self, poll_id: str) -> int:
        """Return how many participants the poll counts."""
        return int((await self("GET", f"/v1/polls/{poll_id}/results"))["participants"])

    async def vote(self, poll_id: str, participant: str, *option_ids: str) -> None:
        """Cast a ballot."""
        await self("PUT", f"/v1/polls/{poll_id}/votes/{participant}", {"optionIds": option_ids})


async def create_full_token(authority: AuthorityClient) -> str:
    """Create a token that may do everything."""
    return (await authority.create_token("Bench", ["polls:*:*"])).token


_METRIC: Final = "pollgate_database_statement_seconds"


class StatementTimes(NamedTuple):
    """The number of executions of a statement, and their total seconds without the wait for a connection."""

    executions: int
    seconds: float

    @property
    def mean_ms(self) -> float:
        """The mean of one execution."""
        return self.seconds / self.executions * 1000


@asynccontextmanager
async def count_statements(
    session: aiohttp.ClientSession, base: str
) -> AsyncGenerator[dict[str, StatementTimes], None]:
    """Yield a dictionary that has, after the block, the statements that the service at `base` executed during it.

    A statement's time includes the time for which its process was busy with other requests.
    """
    before = await _read_metrics(session, base)
    sent: dict[str, StatementTimes] = {}
    yield sent
    for name, now in (await _read_metrics(session, base)).items():
        then = before.get(name, StatementTimes(0, 0.0))
        if now.executions > then.executions:
            sent[name] = StatementTimes(now.executions - then.executions, now.seconds - then.seconds)


async def _read_metrics(session: aiohttp.ClientSession, base: str) -> dict[str, StatementTimes]:
    async with session.get(f"{base}/metrics") as answer:
        text = await answer.text()
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == _METRIC else ():
            found.setdefault(sample.labels["query"], {})[sample.name.removeprefix(f"{_METRIC}_")] = sample.value
    return {name: StatementTimes(int(values["count"]), values["sum"]) for name, values in found.items()}
