"""Start the measured stack: embedded PostgreSQL and Redis, a token authority, and guards, each a polls process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import asyncpg
import msgspec

from bench.errors import BenchError
from bench.load import LoadOrder, LoadReport, PollsUrl
from pollgate.client import AuthorityClient
from pollgate.stack.embedded import EmbeddedPostgres, free_port, redis_command, start_postgres
from pollgate.stack.migrate import SCHEMAS, migrate_all
from pollgate.stack.processes import Processes
from pollgate.stack.secrets import StackSecrets, load_or_create, redis_users
from shared.runtime.redis.client import RedisClient, redis_client
from shared.runtime.redis.errors import RedisUnavailable

START_LIMIT_S: Final = 30.0
POLL_S: Final = 0.05
READY_POLL_S: Final = 0.005
"""Between two questions whether a service is ready, if its start is measured."""
HOST: Final = "127.0.0.1"
_PORT_OF: Final = {"services.token_authority": "TOKEN_AUTHORITY_PORT"}


class Service:
    """A service process that can be killed and started again, always on the same port."""

    def __init__(
        self,
        port: int,
        launch: Callable[[], int],
        wait_until_healthy: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self.port = port
        self.pid: int | None = None
        self._launch = launch
        self._until_healthy = wait_until_healthy
        self._stop = stop

    @property
    def base(self) -> str:
        """The base URL."""
        return f"http://{HOST}:{self.port}"

    async def start(self) -> None:
        """Start the process and wait until it is healthy."""
        self.pid = self._launch()
        await self._until_healthy()

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        await self.end()

    async def end(self) -> None:
        """Stop the process if it runs."""
        if self.pid is not None:
            self.pid = None
            await self._stop()


class Running(NamedTuple):
    """A running token authority at `url`, and its guards, with the ids of their processes."""

    authority: AuthorityClient
    url: str
    guards: list[PollsUrl]
    endpoint_id: str
    service: Service
    guard_pids: list[int]


class Stack:
    """PostgreSQL, and Redis and services that are started on request, with their files in one folder."""

    def __init__(
        self, folder: Path, processes: Processes, secrets: StackSecrets, postgres: EmbeddedPostgres, lease_s: float
    ) -> None:
        self._folder = folder
        self._processes = processes
        self._secrets = secrets
        self._postgres = postgres
        self._redis_port = free_port()
        self._redis = redis_command(folder / "redis", redis_users(secrets), self._redis_port)
        self._lease_s = lease_s
        self._redis_pid = 0

    @property
    def postgres_url(self) -> str:
        """The URL of the database, as its superuser."""
        return self._postgres.url("postgres", self._secrets.postgres_password)

    @property
    def postgres_pid(self) -> int:
        """The id of the server process, whose children serve connections."""
        pid = self._postgres._server.get_pid()
        if pid is None:
            raise BenchError("PostgreSQL has ended")
        return pid

    @property
    def server_pids(self) -> list[int]:
        """The ids of PostgreSQL and Redis."""
        return [self.postgres_pid, self._redis_pid]

    @property
    def client_secret(self) -> str:
        """The secret with which the polls service introspects."""
        return self._secrets.polls_client_secret

    @property
    def polls_redis_url(self) -> str:
        """The URL of Redis with the user of the polls service."""
        return self._redis_url("polls", self._secrets.polls_redis_password)

    @property
    def admin_key(self) -> str:
        """The admin key that the authority created at its first start."""
        return (self._folder / "admin.key").read_text(encoding="utf-8").strip()

    async def versions(self) -> tuple[str, str]:
        """Return the versions of PostgreSQL and Redis."""
        connection = await asyncpg.connect(self.postgres_url)
        try:
            postgres = await connection.fetchval("SELECT split_part(version(), ' on ', 1)")
        finally:
            await connection.close()
        redis = await asyncio.to_thread(subprocess.check_output, [self._redis[0], "--version"], text=True)
        return postgres, redis.partition(" sha=")[0].replace(" server v=", " ")

    @asynccontextmanager
    async def redis(self) -> AsyncGenerator[None, None]:
        """Run Redis during the block, always on the same port."""
        async with (
            self._process("redis", self._redis, {}) as self._redis_pid,
            redis_client(f"redis://{HOST}:{self._redis_port}") as client,
        ):
            await self._wait_until("redis", lambda: _is_responding(client))
            yield

    @asynccontextmanager
    async def services(
        self, guards: int, name: str = "", authority: Mapping[str, str] = {}
    ) -> AsyncGenerator[Running, None]:
        """Run a token authority and `guards` polls processes during the block; `name` tells them from others.

        `authority` has further settings of the token authority.
        """
        settings = {**self._authority(), **authority}
        async with AsyncExitStack() as stack:
            started = self._service(f"token_authority{name}", "services.token_authority", settings)
            service = await stack.enter_async_context(started)
            url = service.base
            polls = [
                await stack.enter_async_context(self.polls(url, f"polls{name}-{number}")) for number in range(guards)
            ]
            client = await stack.enter_async_context(AuthorityClient(url, self.admin_key))
            endpoint_id = (await client.list_sites())[0].endpoint_id
            urls = [PollsUrl(each.port, endpoint_id) for each in polls]
            yield Running(client, url, urls, endpoint_id, service, [each.pid or 0 for each in polls])

    @asynccontextmanager
    async def polls(
        self, authority_url: str, name: str, module: str = "services.polls", **settings: str
    ) -> AsyncGenerator[Service, None]:
        """Run one more polls process, or another module with its settings, during the block."""
        async with self._service(name, module, {**self._polls(authority_url), **settings}) as service:
            yield service

    async def start_time_s(self, authority_url: str, name: str, module: str) -> float:
        """Start a service, stop it, and return the seconds from its launch until it is ready."""
        authority, polls = self._authority(), self._polls(authority_url)
        started = time.perf_counter()
        settings = authority if module == "services.token_authority" else polls
        async with self._service(name, module, settings, only_ready=True):
            return time.perf_counter() - started

    @asynccontextmanager
    async def load(self, running: Running, rate: float) -> AsyncGenerator[None, None]:
        """Send `rate` reads per second to all guards together during the block. Raise `BenchError` if they fail."""
        token = (await running.authority.create_token("Load", ["polls:read:PLAT"])).token
        ports = [guard.port for guard in running.guards]
        order = msgspec.json.encode(LoadOrder(rate, token or "", running.endpoint_id, ports)).decode()
        log = self.log("load")
        log.unlink(missing_ok=True)
        async with self._process("load", [sys.executable, "-m", "bench.load", order], {}):
            await asyncio.sleep(1)
            yield
        try:
            report = msgspec.json.decode(log.read_bytes(), type=LoadReport)
        except msgspec.MsgspecError:
            raise BenchError(f"the load failed: {log.read_text(encoding='utf-8')[-500:]}") from None
        if report.others or report.rate < 0.95 * rate:
            raise BenchError(f"the load was {report.rate:.0f} reads per second, and {report.others} were not accepted")

    @asynccontextmanager
    async def _service(
        self, name: str, module: str, settings: Mapping[str, str], *, only_ready: bool = False
    ) -> AsyncGenerator[Service, None]:
        port, command = free_port(), [sys.executable, "-m", module]
        environment = {**os.environ, "SHUTDOWN_GRACE_S": "0", **settings, _PORT_OF.get(module, "POLLS_PORT"): str(port)}

        def launch() -> int:
            return self._processes.start(name, command, environment, self.log(name))

        async def wait_until_healthy() -> None:
            async with aiohttp.ClientSession() as session:
                is_up = _is_ready if only_ready else _is_healthy
                await self._wait_until(
                    name, lambda: is_up(session, f"{service.base}/readyz"), READY_POLL_S if only_ready else POLL_S
                )

        service = Service(port, launch, wait_until_healthy, lambda: self._processes.stop(name))
        try:
            await service.start()
            yield service
        finally:
            await service.end()

    @asynccontextmanager
    async def process(self, name: str, command: list[str]) -> AsyncGenerator[int, None]:
        """Run another process during the block, with its output in `log(name)`. Yield its id."""
        async with self._process(name, command, {}) as pid:
            yield pid

    @asynccontextmanager
    async def _process(self, name: str, command: list[str], settings: Mapping[str, str]) -> AsyncGenerator[int, None]:
        pid = self._processes.start(name, command, {**os.environ, **settings}, self.log(name))
        try:
            yield pid
        finally:
            await self._processes.stop(name)

    async def _wait_until(self, name: str, is_healthy: Callable[[], Awaitable[bool]], poll_s: float = POLL_S) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not await is_healthy():
            if self._processes.find_ended() or time.monotonic() > deadline:
                raise BenchError(f"{name} does not start: {self.log(name).read_text(encoding='utf-8')[-500:]}")
            await asyncio.sleep(poll_s)

    def log(self, name: str) -> Path:
        """Return the file with the output of a process."""
        return self._folder / "logs" / f"{name}.log"

    def _authority(self) -> dict[str, str]:
        return {
            "TOKEN_AUTHORITY_DATABASE_URL": self._postgres.url(
                "token_authority", self._secrets.token_authority_database_password
            ),
            "REDIS_URL": self._redis_url("token-authority", self._secrets.token_authority_redis_password),
            "SERVICE_CREDENTIALS": self._secrets.service_credentials,
            "KEY_ENCRYPTION_KEY": self._secrets.key_encryption_key,
            "ADMIN_KEY_FILE": str(self._folder / "admin.key"),
            "REVOCATION_LEASE": str(self._lease_s),
            "OPEN_REQUESTS_PER_MINUTE": "1000000",  # all come from one address
        }

    def _polls(self, authority_url: str) -> dict[str, str]:
        return {
            "POLLS_DATABASE_URL": self._postgres.url("polls", self._secrets.polls_database_password),
            "REDIS_URL": self._redis_url("polls", self._secrets.polls_redis_password),
            "TOKEN_AUTHORITY_URL": authority_url,
            "INTROSPECTION_CLIENT_SECRET": self._secrets.polls_client_secret,
            "PARTICIPANT_KEY": self._secrets.participant_key,
        }

    def _redis_url(self, user: str, password: str) -> str:
        return f"redis://{user}:{password}@{HOST}:{self._redis_port}"


@asynccontextmanager
async def start_stack(folder: Path, lease_s: float) -> AsyncGenerator[Stack, None]:
    """Run a migrated PostgreSQL during the block. Redis and the services are started with the stack's methods."""
    secrets = load_or_create(folder / "secrets.json")
    # Shielded from Ctrl-C: a server that has not finished starting cannot be stopped.
    starting = asyncio.ensure_future(start_postgres(folder / "postgres", secrets.postgres_password))
    try:
        postgres = await asyncio.shield(starting)
        passwords = (secrets.token_authority_database_password, secrets.polls_database_password)
        admin_url = postgres.url("postgres", secrets.postgres_password)
        await migrate_all(admin_url, dict(zip(SCHEMAS, passwords, strict=True)))
        yield Stack(folder, Processes(folder / "processes.json"), secrets, postgres, lease_s)
    finally:
        await asyncio.to_thread((await starting).stop)


async def _is_responding(redis: RedisClient) -> bool:
    try:
        await redis.ping()
    except RedisUnavailable:
        return False
    return True


class _Health(msgspec.Struct):
    checks: dict[str, str]


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    """Return whether the service takes requests."""
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _is_healthy(session: aiohttp.ClientSession, url: str) -> bool:
    """Return whether all checks are ok, including those that do not make the service unready."""
    try:
        async with session.get(url) as response:
            health = msgspec.json.decode(await response.read(), type=_Health)
    except (aiohttp.ClientError, msgspec.MsgspecError):
        return False
    return set(health.checks.values()) == {"ok"}
