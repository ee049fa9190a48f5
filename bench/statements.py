"""How many statements a polls process sends to PostgreSQL while it is asked something, and how long they take."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_METRIC: Final = "pollgate_database_statement_seconds"


class Sent(NamedTuple):
    """How often a statement was sent, and how long that took together, without the wait for a connection."""

    times: int
    seconds: float

    @property
    def mean_ms(self) -> float:
        """Of one."""
        return self.seconds / self.times * 1000


@asynccontextmanager
async def statements_sent(session: aiohttp.ClientSession, base: str) -> AsyncGenerator[dict[str, Sent], None]:
    """The statements of the service at `base` during the block, by name; filled when the block has ended.

    The processor's time for what waits in the same process counts too.
    """
    before = await _told(session, base)
    sent: dict[str, Sent] = {}
    yield sent
    for name, now in (await _told(session, base)).items():
        then = before.get(name, Sent(0, 0.0))
        if now.times > then.times:
            sent[name] = Sent(now.times - then.times, now.seconds - then.seconds)


async def _told(session: aiohttp.ClientSession, base: str) -> dict[str, Sent]:
    async with session.get(f"{base}/metrics") as answer:
        text = await answer.text()
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == _METRIC else ():
            found.setdefault(sample.labels["query"], {})[sample.name.removeprefix(f"{_METRIC}_")] = sample.value
    return {name: Sent(int(values["count"]), values["sum"]) for name, values in found.items()}
