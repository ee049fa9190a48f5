"""Ask several Sentinels at once which server is the master."""

import asyncio
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import Sentinel

from shared.runtime.redis.address import format_host
from shared.runtime.redis.errors import CALL_ERRORS, MasterUnknown, RedisUnavailable, Server, explain

SENTINEL_LIMIT_S: Final = 0.5
"""How long one Sentinel may take to connect, and to answer."""

State = dict[str, Any]
_UNKNOWN: Final = "No such master with that name"


class Sentinels(Sentinel):
    """The Sentinels of one URL.

    redis-py asks one after the other and believes the first. Here a majority has to answer, unless the others do not
    answer in time, and the newest configuration counts: a Sentinel that is cut off names the master before a fail-over.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the master. Raise `MasterUnknown`."""
        states, errors = await self._ask_majority(service_name)
        if not states:
            raise MasterUnknown(_explain_refusal(service_name, errors))
        newest = max(state["config-epoch"] for state in states)
        for state in states:
            if state["config-epoch"] == newest and self.check_master_state(state, service_name):
                return state["ip"], state["port"]
        raise MasterUnknown(
            f"say that the master {service_name!r} is down; they name another one when their fail-over is complete"
        )

    async def _ask_majority(self, service_name: str) -> tuple[list[State], list[str]]:
        """Return what Sentinels know of the master, and why others have not answered."""
        asked = {asyncio.create_task(_ask(sentinel, service_name)) for sentinel in self.sentinels}
        states: list[State] = []
        errors: list[str] = []
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    states.append(await answer)
                except RedisUnavailable as error:
                    errors.append(str(error))
                if 2 * len(states) > len(asked):
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return states, errors


async def _ask(sentinel: Redis, service_name: str) -> State:
    """Return what one Sentinel knows of the master. Raise `RedisUnavailable`."""
    try:
        state: State = await sentinel.execute_command("SENTINEL MASTER", service_name)  # type: ignore[no-untyped-call]
    except CALL_ERRORS as error:
        if _UNKNOWN in str(error):
            raise RedisUnavailable(_UNKNOWN) from None
        options = sentinel.connection_pool.connection_kwargs
        address = format_host(options["host"], options["port"])
        login = "sentinel_username and sentinel_password in REDIS_URL"
        is_tls = issubclass(sentinel.connection_pool.connection_class, SSLConnection)
        raise explain(error, Server("the Sentinel", address, is_tls, login)) from None
    return state


def _explain_refusal(service_name: str, errors: list[str]) -> str:
    if _UNKNOWN in errors:
        return f"do not know the master {service_name!r}; correct its name in REDIS_URL"
    return f"cannot say which server is the master {service_name!r}: {min(errors)}"
