"""Ask several Sentinels at once which server is the master."""

import asyncio
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ResponseError

from shared.runtime.redis.errors import REDIS_ERRORS, MasterUnknown, explain

SENTINEL_LIMIT_S: Final = 0.5
"""How long one Sentinel may take to connect, and to answer."""


class Sentinels(Sentinel):
    """The Sentinels of one URL.

    redis-py asks one after the other and believes the first. Here a majority has to answer, unless the others do not
    answer in time, and the newest configuration counts: a Sentinel that is cut off names the master before a fail-over.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the master. Raise `MasterUnknown`."""
        states, errors = await self._ask_majority(service_name)
        if not states:
            raise _no_answer(service_name, errors)
        newest = max(state["config-epoch"] for state in states)
        for state in states:
            if state["config-epoch"] == newest and self.check_master_state(state, service_name):
                return state["ip"], state["port"]
        raise MasterUnknown(
            f"say that the master {service_name!r} is down; they name another one when their fail-over is complete"
        )

    async def _ask_majority(self, service_name: str) -> tuple[list[dict[str, Any]], list[BaseException]]:
        asked = {asyncio.create_task(_ask(sentinel, service_name)) for sentinel in self.sentinels}
        states: list[dict[str, Any]] = []
        errors: list[BaseException] = []
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    states.append(await answer)
                except REDIS_ERRORS as error:
                    errors.append(error)
                if 2 * len(states) > len(asked):
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return states, errors


async def _ask(sentinel: Redis, service_name: str) -> dict[str, Any]:
    state: dict[str, Any] = await sentinel.execute_command("SENTINEL MASTER", service_name)  # type: ignore[no-untyped-call]
    return state


def _no_answer(service_name: str, errors: list[BaseException]) -> MasterUnknown:
    if any("No such master" in str(error) for error in errors if isinstance(error, ResponseError)):
        return MasterUnknown(f"do not know the master {service_name!r}; correct its name in REDIS_URL")
    reasons = sorted({str(explain(error, "a Sentinel")).replace("Redis at", "the Sentinel at") for error in errors})
    return MasterUnknown(f"cannot be asked for the master {service_name!r}: {'; '.join(reasons)}")
