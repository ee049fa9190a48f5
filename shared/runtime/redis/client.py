"""Send commands to Redis, whatever the URL names: one server, the master that Sentinels name, or a cluster.

Each call has a time limit, is not repeated, and fails with `RedisUnavailable` only.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.runtime.process.environment import RotatableText, SettingsError
from shared.runtime.redis.address import Credentials, RedisAddress, format_host, read_redis_url, require_redis_url
from shared.runtime.redis.errors import CALL_ERRORS, MasterUnknown, RedisUnavailable, Server, explain
from shared.runtime.redis.sentinel import SENTINEL_LIMIT_S, Sentinels
from shared.runtime.traces.current import current_traces

REDIS_LIMIT_S: Final = 1.0
"""How long it may take to connect to a server, and to get an answer from it."""
CALL_LIMIT_S: Final = 2.0
"""How long a call may take, with looking up the server and connecting to it."""
PING_LIMIT_S: Final = 0.8
"""Less than the time limit of a health check."""
MAX_CALLS: Final = 50
"""Calls of one process at a time; further ones wait. Each has a connection, of which redis-py opens 100 per server."""
LOOK_UP_EVERY_S: Final = 3.0
"""Between two look-ups of the current master, or of the nodes of a cluster."""
MAX_CONNECTIONS: Final = 1000
"""Per node of a cluster. redis-py fails beyond it instead of waiting."""

Command = Sequence[str | bytes | int]
T = TypeVar("T")


class RedisClient:
    """Sends commands. Made by `redis_client`. `address` is for messages: hosts and ports, without credentials."""

    def __init__(self, servers: "_Servers", address: RedisAddress) -> None:
        self._servers = servers
        self._is_tls = address.is_tls
        self._places = asyncio.Semaphore(MAX_CALLS)
        self.address = str(address)

    @property
    def redis(self) -> Redis | RedisCluster:
        """The client of redis-py, for libraries that need one. Its errors have to go through `explain`."""
        return self._servers.redis

    def explain(self, error: BaseException) -> RedisUnavailable:
        """Return the error for an operator."""
        name = "the Sentinels" if isinstance(error, MasterUnknown) else "Redis"
        server = None if isinstance(error, MasterUnknown) else self._servers.last_tried
        return explain(error, Server(name, server or self.address, self._is_tls))

    async def send(self, *command: str | bytes | int) -> Any:
        """Send a command for one key, and return the answer. Raise `RedisUnavailable`."""
        return await self._limit(lambda: self._servers.redis.execute_command(*command))

    async def send_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands for the same key, in this order and without a transaction. Raise `RedisUnavailable`."""

        async def send() -> list[Any]:
            async with self._servers.redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return _raise_first(await pipeline.execute(raise_on_error=False))

        return await self._limit(send)

    async def publish(self, channel: str, messages: Sequence[str | bytes]) -> None:
        """Publish messages in this order, each to all subscribers of the channel. Raise `RedisUnavailable`."""
        await self._limit(lambda: self._servers.publish(channel, messages))

    async def ping(self) -> None:
        """Raise `RedisUnavailable` unless a server answers."""
        await self._limit(self._servers.ping, PING_LIMIT_S)

    @asynccontextmanager
    async def pubsub(self) -> AsyncGenerator[PubSub, None]:
        """Yield redis-py's object for subscriptions, connected to a server where all messages arrive.

        The errors that are raised in the block and may be those of a call to Redis become `RedisUnavailable`.
        """
        try:
            pubsub = await self._limit(self._servers.open_pubsub)
            async with pubsub:
                yield pubsub
        except CALL_ERRORS as error:
            raise self.explain(error) from None

    def require_current(self, pubsub: PubSub) -> None:
        """Raise `RedisUnavailable` if messages are published elsewhere by now, as after a fail-over."""
        connection = pubsub.connection
        if isinstance(connection, Connection) and not self._servers.is_current(connection.host, int(connection.port)):
            where = format_host(connection.host, int(connection.port))
            raise RedisUnavailable(f"Redis at {where} is no longer in charge; another one is used within a second")

    async def _limit(self, call: Callable[[], Awaitable[T]], limit_s: float = CALL_LIMIT_S) -> T:
        try:
            async with asyncio.timeout(limit_s), self._places:
                return await call()
        except CALL_ERRORS as error:
            raise self.explain(error) from None


@asynccontextmanager
async def redis_client(url: str | RotatableText) -> AsyncGenerator[RedisClient, None]:
    """Open a client for the length of the block. `read_redis_url` says which URLs there are.

    It connects at the first call. Users and passwords are read again for each connection; the rest of the URL is not.
    Raise `SettingsError` if `url` is not a URL of Redis.
    """
    address = require_redis_url(url)
    setting = RotatableText(url) if isinstance(url, str) else url
    servers = _KINDS[address.kind](address, setting)
    current_traces().trace_commands(servers.redis)
    watch = asyncio.create_task(servers.watch())
    try:
        yield RedisClient(servers, address)
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await servers.close()


class _Servers(ABC):
    """What differs between one server, Sentinels and a cluster."""

    redis: Redis | RedisCluster

    @property
    def last_tried(self) -> str | None:
        """The address that the last connection was made to, if it is not that of the URL."""
        return None

    async def publish(self, channel: str, messages: Sequence[str | bytes]) -> None:
        """Publish messages in this order."""
        async with self.redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.execute_command("PUBLISH", channel, message)
            # With `raise_on_error`, errors would repeat the command.
            _raise_first(await pipeline.execute(raise_on_error=False))

    async def ping(self) -> None:
        """Ask a server for an answer."""
        await self.redis.ping()

    async def open_pubsub(self) -> PubSub:
        """Return an object for subscriptions."""
        return self.redis.pubsub()

    @abstractmethod
    async def look_up(self) -> None:
        """Find out which servers are in charge now."""

    @abstractmethod
    def is_current(self, host: str, port: int) -> bool:
        """Return whether messages arrive at this server, as of the last look-up."""

    async def watch(self) -> None:
        """Look the servers up until cancelled: a server may go on answering after another one has taken its place."""
        while True:
            await asyncio.sleep(LOOK_UP_EVERY_S)
            with suppress(*CALL_ERRORS):
                async with asyncio.timeout(CALL_LIMIT_S):
                    await self.look_up()

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()


class _OneServer(_Servers):
    def __init__(self, address: RedisAddress, setting: RotatableText) -> None:
        kind: type[AbstractConnection] = SSLConnection if address.is_tls else Connection
        if "path" in address.options:
            kind = UnixDomainSocketConnection
            arguments = _arguments(address, setting)
        else:
            (host, port), *_ = address.hosts
            arguments = {"host": host, "port": port, **_arguments(address, setting)}
        self.redis = Redis.from_pool(ConnectionPool(connection_class=kind, **arguments))

    async def watch(self) -> None:
        """Return at once: there is no other server."""

    async def look_up(self) -> None:
        """There is nothing to look up."""

    def is_current(self, host: str, port: int) -> bool:
        """Return true."""
        return True


class _Master(_Servers):
    """The master that Sentinels name."""

    def __init__(self, address: RedisAddress, setting: RotatableText) -> None:
        tls = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
        self._sentinels = Sentinels(  # type: ignore[no-untyped-call]
            address.hosts,
            sentinel_kwargs={
                "ssl": address.is_tls,
                **tls,
                **_limits(SENTINEL_LIMIT_S),
                "credential_provider": _Credentials(setting, lambda read: read.sentinel_credentials),
            },
        )
        self._pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            address.master, self._sentinels, ssl=address.is_tls, **_arguments(address, setting)
        )
        self.redis = Redis.from_pool(self._pool)

    @property
    def last_tried(self) -> str | None:
        """The master."""
        return format_host(*self._pool.master_address) if self._pool.master_address else None

    async def look_up(self) -> None:
        """Ask the Sentinels. If the master is another one, idle connections to the former one are closed."""
        await self._pool.get_master_address()  # type: ignore[no-untyped-call]

    def is_current(self, host: str, port: int) -> bool:
        """Return whether the server is the master."""
        return self._pool.master_address in (None, (host, port))

    async def close(self) -> None:
        """Close all connections, also those to the Sentinels."""
        await super().close()
        await self._sentinels.aclose()


class _Cluster(_Servers):
    redis: RedisCluster

    def __init__(self, address: RedisAddress, setting: RotatableText) -> None:
        arguments = {name: value for name, value in _arguments(address, setting).items() if name != "retry"}
        self.redis = _NodesInTurn(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            ssl=address.is_tls,
            # Names keep their meaning when all nodes have got other addresses.
            dynamic_startup_nodes=False,
            # What is reachable goes on.
            require_full_coverage=False,
            retry=Retry(NoBackoff(), 0),
            **{"max_connections": MAX_CONNECTIONS, **arguments},
        )
        self._node: ClusterNode | None = None
        """The node that was last used for what any node can do."""

    async def publish(self, channel: str, messages: Sequence[str | bytes]) -> None:
        """Publish messages in this order at any node: the nodes hand them on to each other."""
        for message in messages:
            await self._send_to_any("PUBLISH", channel, message)

    async def ping(self) -> None:
        """Ask any node for an answer."""
        await self._send_to_any("PING")

    async def open_pubsub(self) -> PubSub:
        """Return an object for subscriptions at any node that answers."""
        await self.ping()
        return self.redis.pubsub(node=self._node)

    async def look_up(self) -> None:
        """Ask a node which masters there are. If these are others than before, find all nodes again.

        That replaces all connections, so it is not done each time.
        """
        await self.redis.initialize()
        node = random.choice(self.redis.get_nodes())  # noqa: S311 - one that is cut off is not asked every time
        slots = await self.redis.execute_command("CLUSTER SLOTS", target_nodes=node)
        masters = {(slot["primary"][0] or node.host, int(slot["primary"][1])) for slot in slots.values()}
        if masters != {(each.host, int(each.port)) for each in self.redis.get_primaries()}:
            await self.redis.nodes_manager.initialize()

    def is_current(self, host: str, port: int) -> bool:
        """Return whether the node is in the cluster."""
        return self.redis.get_node(host, port) is not None

    async def close(self) -> None:
        """Close all connections, also those of a client that has to ask for the nodes again."""
        await super().close()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.redis.nodes_manager.aclose(nodes)

    async def _send_to_any(self, *command: str | bytes) -> None:
        """Send a command to the node that was last used, or to another one if that cannot be reached."""
        await self.redis.initialize()
        nodes = self.redis.get_primaries()
        random.shuffle(nodes)
        nodes.sort(key=lambda node: node != self._node)
        for left, node in zip(reversed(range(len(nodes))), nodes, strict=True):
            try:
                await self.redis.execute_command(*command, target_nodes=node)
            except (RedisConnectionError, RedisTimeoutError):
                if not left:
                    raise
            else:
                self._node = node
                return


class _NodesInTurn(RedisCluster):
    """A cluster that is found although some of its masters cannot be reached.

    redis-py asks its first master for the list of commands, and would ask the same one again at each attempt.
    """

    async def initialize(self, *args: Any, **options: Any) -> "_NodesInTurn":
        """Find the nodes."""
        failed: set[str] = set()
        while True:
            try:
                await super().initialize(*args, **options)
            except (RedisConnectionError, RedisTimeoutError):
                first = next(iter(self.get_primaries()), None)
                if first is None or first.name in failed:
                    raise
                failed.add(first.name)
                self.nodes_manager.move_node_to_end_of_cached_nodes(first.name)
            else:
                return self


_KINDS: Final[dict[str, Callable[[RedisAddress, RotatableText], _Servers]]] = {
    "server": _OneServer,
    "sentinel": _Master,
    "cluster": _Cluster,
}


def _raise_first(answers: list[Any]) -> list[Any]:
    """Return the answers of a pipeline. Raise the first that is an error."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


class _Credentials(CredentialProvider):
    """The credentials in a URL, which is read again for each connection."""

    def __init__(self, setting: RotatableText, select: Callable[[RedisAddress], Credentials]) -> None:
        self._setting = setting
        self._select = select
        self._last = select(read_redis_url(setting.read()))

    def get_credentials(self) -> Any:
        """Return what AUTH takes; nothing if it is not to be sent."""
        with suppress(SettingsError):  # the file is being written
            self._last = self._select(read_redis_url(self._setting.read()))
        if self._last.user:
            return self._last.user, self._last.password
        return (self._last.password,) if self._last.password else ()

    async def get_credentials_async(self) -> Any:
        """Return what AUTH takes; nothing if it is not to be sent."""
        return self.get_credentials()


def _limits(limit_s: float) -> dict[str, Any]:
    return {"socket_timeout": limit_s, "socket_connect_timeout": limit_s, "retry": Retry(NoBackoff(), 0)}


def _arguments(address: RedisAddress, setting: RotatableText) -> dict[str, Any]:
    """Return the arguments of a connection."""
    provider = _Credentials(setting, lambda read: read.credentials)
    return {**_limits(REDIS_LIMIT_S), "credential_provider": provider, **address.options}
