"""Two token authorities, three polls replicas, PostgreSQL and Redis, connected by proxies that can fail."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from pollgate.stack.embedded import start_postgres
from pollgate.stack.migrate import migrate_all
from tests.faults.cluster_processes import ClusterProcess, PostgresServer, RedisServer, ServiceProcess
from tests.support.databases import ClonedDatabase, role_passwords, urls_of
from tests.support.ports import take_port
from tests.support.processes import authority_settings, polls_settings
from tests.support.proxy import Proxy, run_proxy

LEASE_S: Final = 2.0
AUTHORITIES: Final = 2
REPLICAS: Final = 3


class Links(NamedTuple):
    """The proxies of one process to its dependencies. `authority` is `None` for an authority."""

    postgres: Proxy
    redis: Proxy
    authority: Proxy | None


class Restores(NamedTuple):
    """What an operator needs to restore the database: its URLs, the settings of the authority, and every journal."""

    database: ClonedDatabase
    settings: dict[str, str]
    journals: list[Path]
    folder: Path


class Cluster(NamedTuple):
    """The processes, and the proxies between them by the name of the calling process."""

    authorities: list[ServiceProcess]
    replicas: list[ServiceProcess]
    postgres: PostgresServer
    redis: RedisServer
    links: dict[str, Links]
    admin_key: str
    restores: Restores

    @property
    def services(self) -> list[ClusterProcess]:
        """The processes of both services."""
        return [*self.authorities, *self.replicas]


@asynccontextmanager
async def run_cluster(folder: Path, output: Path) -> AsyncGenerator[Cluster, None]:
    """Run the cluster within the block."""
    async with AsyncExitStack() as stack:
        password = secrets.token_hex(16)
        server = await start_postgres(folder / "postgres", password)
        postgres = PostgresServer(server, output / "postgres.log")
        stack.callback(postgres.end)
        database = urls_of(server.url("postgres", password), "pollgate")
        await migrate_all(database.admin_url, role_passwords())
        redis = RedisServer(folder / "redis", take_port(), output)
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
        restores = Restores(
            database,
            {**authority_settings(database, redis.url, folder), "REVOCATION_LEASE": str(LEASE_S)},
            [_journal(folder, authority.name) for authority in authorities],
            folder,
        )
        admin_key = (folder / "admin.key").read_text().strip()
        yield Cluster(authorities, replicas, postgres, redis, links, admin_key, restores)


def _journal(folder: Path, name: str) -> Path:
    return folder / f"journal of {name}" / "journal.jsonl"


async def _authority(
    stack: AsyncExitStack,
    name: str,
    links: dict[str, Links],
    database: ClonedDatabase,
    redis: RedisServer,
    folder: Path,
    output: Path,
) -> ServiceProcess:
    to_postgres = await stack.enter_async_context(run_proxy(database.admin_url))
    to_redis = await stack.enter_async_context(run_proxy(redis.url))
    links[name] = Links(to_postgres, to_redis, None)
    proxied_database = database._replace(token_authority_url=to_postgres.url(database.token_authority_url))
    settings = {
        **authority_settings(proxied_database, to_redis.url(), folder),
        "REVOCATION_LEASE": str(LEASE_S),
        "JOURNAL_FILE": str(_journal(folder, name)),
    }
    return await _start(stack, ServiceProcess(name, "token_authority", take_port(), settings, output))


async def _replica(
    stack: AsyncExitStack,
    name: str,
    links: dict[str, Links],
    database: ClonedDatabase,
    redis: RedisServer,
    authorities: list[str],
    output: Path,
) -> ServiceProcess:
    to_postgres = await stack.enter_async_context(run_proxy(database.admin_url))
    to_redis = await stack.enter_async_context(run_proxy(redis.url))
    to_authority = await stack.enter_async_context(run_proxy(*authorities))
    links[name] = Links(to_postgres, to_redis, to_authority)
    proxied_database = database._replace(polls_url=to_postgres.url(database.polls_url))
    settings = {
        **polls_settings(proxied_database, to_redis.url(), to_authority.url()),
        # After a restore, a guard starts again, and all revoked tokens of the load are new to it.
        "UNKNOWN_TOKENS_PER_MINUTE": "100000",
    }
    return await _start(stack, ServiceProcess(name, "polls", take_port(), settings, output))


async def _start(stack: AsyncExitStack, process: ServiceProcess) -> ServiceProcess:
    stack.push_async_callback(asyncio.to_thread, process.end)
    process.start()
    await process.ready()
    return process
