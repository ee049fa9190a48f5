"""Two token authorities, three polls replicas, PostgreSQL and Redis, each behind proxies that can fail."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from pollgate.stack.embedded import free_port, start_postgres
from pollgate.stack.migrate import migrate_all
from tests.faults.parts import Part, PostgresPart, RedisPart, ServicePart
from tests.support.databases import ClonedDatabase, described, passwords
from tests.support.processes import authority_settings, polls_settings
from tests.support.proxy import Proxy, proxied

LEASE_S: Final = 2.0
AUTHORITIES: Final = 2
REPLICAS: Final = 3


class Links(NamedTuple):
    """The ways of one process to what it needs; an authority has no way to an authority."""

    postgres: Proxy
    redis: Proxy
    authority: Proxy | None


class Stage(NamedTuple):
    """All parts, and the ways between them."""

    authorities: list[ServicePart]
    replicas: list[ServicePart]
    postgres: PostgresPart
    redis: RedisPart
    links: dict[str, Links]
    admin_key: str

    @property
    def parts(self) -> list[Part]:
        """The services' processes."""
        return [*self.authorities, *self.replicas]


@asynccontextmanager
async def set_up(folder: Path, output: Path) -> AsyncGenerator[Stage, None]:
    """Everything runs, for the length of the block."""
    async with AsyncExitStack() as stack:
        password = secrets.token_hex(16)
        server = await start_postgres(folder / "postgres", password)
        postgres = PostgresPart(server, output / "postgres.log")
        stack.callback(postgres.end)
        database = described(server.url("postgres", password), "pollgate")
        await migrate_all(database.admin_url, passwords())
        redis = RedisPart(folder / "redis", free_port(), output)
        stack.callback(redis.end)
        redis.start()
        links: dict[str, Links] = {}
        authorities = [
            await _authority(stack, f"authority-{number}", links, database, redis, folder, output)
            for number in range(AUTHORITIES)
        ]
        bases = [authority.base for authority in authorities]
        replicas = [
            await _replica(stack, f"polls-{number}", links, database, redis, bases, output)
            for number in range(REPLICAS)
        ]
        yield Stage(authorities, replicas, postgres, redis, links, (folder / "admin.key").read_text().strip())


async def _authority(
    stack: AsyncExitStack,
    name: str,
    links: dict[str, Links],
    database: ClonedDatabase,
    redis: RedisPart,
    folder: Path,
    output: Path,
) -> ServicePart:
    to_postgres = await stack.enter_async_context(proxied(database.admin_url))
    to_redis = await stack.enter_async_context(proxied(redis.url))
    links[name] = Links(to_postgres, to_redis, None)
    through = database._replace(token_authority_url=to_postgres.url(database.token_authority_url))
    settings = {**authority_settings(through, to_redis.url(), folder), "REVOCATION_LEASE": str(LEASE_S)}
    return await _started(stack, ServicePart(name, "token_authority", free_port(), settings, output))


async def _replica(
    stack: AsyncExitStack,
    name: str,
    links: dict[str, Links],
    database: ClonedDatabase,
    redis: RedisPart,
    authorities: list[str],
    output: Path,
) -> ServicePart:
    to_postgres = await stack.enter_async_context(proxied(database.admin_url))
    to_redis = await stack.enter_async_context(proxied(redis.url))
    to_authority = await stack.enter_async_context(proxied(*authorities))
    links[name] = Links(to_postgres, to_redis, to_authority)
    through = database._replace(polls_url=to_postgres.url(database.polls_url))
    settings = polls_settings(through, to_redis.url(), to_authority.url())
    return await _started(stack, ServicePart(name, "polls", free_port(), settings, output))


async def _started(stack: AsyncExitStack, part: ServicePart) -> ServicePart:
    stack.push_async_callback(asyncio.to_thread, part.end)
    part.start()
    await part.ready()
    return part
