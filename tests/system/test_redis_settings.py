"""What an operator reads whose Redis, or whose URL of Redis, is wrong; and a password that changes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pollgate.stack.secrets import load_or_create, redis_users
from shared.contract.redis_names import CHANGES_CHANNEL
from shared.runtime.process.environment import RotatableText, SettingsError
from shared.runtime.redis.address import read_redis_url
from shared.runtime.redis.client import RedisClient, redis_client
from shared.runtime.redis.errors import RedisUnavailable
from tests.support.databases import ClonedDatabase
from tests.support.redis_setups import (
    ADMIN_LOGIN,
    HOST,
    SENTINEL_USER,
    RedisNode,
    find_programs,
    run_node,
    run_redis_cluster,
    run_sentinels,
    sentinel_query,
)
from tests.support.stack import Authority, Polls, run_polls_service, run_token_authority

PROGRAMS = find_programs()
FEW_RIGHTS = "user few on >s3cret resetkeys resetchannels -@all +@connection +eval"

Call = Callable[[RedisClient], Awaitable[Any]]


async def _ping(redis: RedisClient) -> None:
    await redis.ping()


async def _publish(redis: RedisClient) -> None:
    await redis.publish(CHANGES_CHANNEL, ["a-signed-push"])


async def _set(redis: RedisClient) -> None:
    await redis.send_all([("SET", key, "a-stored-value") for key in "abcdef"])


async def _run_script(redis: RedisClient) -> None:
    await redis.send("EVAL", "return redis.call('get', 'pollgate:x')", 0)


async def _subscribe(redis: RedisClient) -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(CHANGES_CHANNEL)
        while True:
            await pubsub.get_message(timeout=10)


async def _find_reason(url: str, call: Call = _ping) -> str:
    async with redis_client(url) as redis:
        with pytest.raises(RedisUnavailable) as fault:
            await call(redis)
    reason = str(fault.value)
    for secret in ("s3cret", "a-signed-push", "a-stored-value", ADMIN_LOGIN.partition(":")[2]):
        assert secret not in reason
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("program", PROGRAMS)
async def test_server_that_refuses_is_explained(tmp_path: Path, program: str, subtests: pytest.Subtests) -> None:
    async with run_node(tmp_path, PROGRAMS[program], FEW_RIGHTS) as node:
        where = f"Redis at {HOST}:{node.port}"
        cases: list[tuple[str, str, Call, str]] = [
            ("password", node.url("admin:s3cret"), _ping, f"{where} refuses the user or its password; correct user "),
            ("user", node.url("stranger:s3cret"), _ping, f"{where} refuses the user or its password; correct user "),
            ("publish", node.url("few:s3cret"), _publish, f"{where} refuses a command: "),
            ("subscribe", node.url("few:s3cret"), _subscribe, f"{where} refuses a command: "),
            ("keys", node.url("few:s3cret"), _set, f"{where} refuses a command: "),
            ("script", node.url("few:s3cret"), _run_script, f"{where} refuses a command: "),
            ("database", node.url(ADMIN_LOGIN) + "/99", _ping, f"{where} answers with an error: DB index"),
            ("cluster", node.url(ADMIN_LOGIN, scheme="redis+cluster"), _ping, f"{where} is no node of a cluster; "),
            (
                "Sentinel",
                node.url(ADMIN_LOGIN, scheme="redis+sentinel") + "/m",
                _ping,
                "is no Sentinel; name the ports",
            ),
        ]
        for name, url, call, expected in cases:
            with subtests.test(name):
                assert expected in await _find_reason(url, call)


async def test_server_that_cannot_be_reached_is_explained(tmp_path: Path) -> None:
    async with run_node(tmp_path, PROGRAMS["valkey"]) as node:
        node.stop()
        silent = await _find_reason(node.url(ADMIN_LOGIN))
        node.resume()
    refused = await _find_reason(node.url(ADMIN_LOGIN))
    unknown = await _find_reason("redis://redis.invalid")

    assert silent.startswith(f"Redis at {HOST}:{node.port} does not answer in time; ")
    assert refused.startswith(f"Redis at {HOST}:{node.port} refuses the connection; ")
    assert unknown.startswith("Redis at redis.invalid:6379 cannot be reached: ")
    assert unknown.endswith("; start it, or correct REDIS_URL or the network")


@pytest.mark.slow
async def test_sentinels_that_refuse_are_explained(tmp_path: Path, subtests: pytest.Subtests) -> None:
    query = sentinel_query()
    async with run_sentinels(tmp_path, PROGRAMS["valkey"], FEW_RIGHTS, sentinel_users=SENTINEL_USER) as setup:
        master = f"Redis at {HOST}:{setup.servers[0].port}"
        replica = f"{HOST}:{setup.servers[1].port}"
        cases: list[tuple[str, str, Call, str]] = [
            ("name", setup.url(ADMIN_LOGIN, query, master="other"), _ping, "do not know the master 'other'; correct"),
            ("no login", setup.url(ADMIN_LOGIN), _ping, "correct sentinel_username and sentinel_password in REDIS_URL"),
            ("password", setup.url("admin:s3cret", query), _ping, f"{master} refuses the user or its password; "),
            ("rights", setup.url("few:s3cret", query), _publish, f"{master} refuses a command: "),
            ("replica", f"redis://{ADMIN_LOGIN}@{replica}", _set, f"Redis at {replica} is a replica; name the master"),
        ]
        for name, url, call, expected in cases:
            with subtests.test(name):
                assert expected in await _find_reason(url, call)
        for sentinel in setup.sentinels:
            sentinel.stop()
            async with redis_client(setup.url(ADMIN_LOGIN, query)) as redis:
                await redis.ping()  # is answered as if all Sentinels ran
            sentinel.resume()
        for sentinel in setup.sentinels:
            await sentinel.kill()
        assert "refuses the connection" in await _find_reason(setup.url(ADMIN_LOGIN, query))


async def test_cluster_that_refuses_is_explained(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with run_redis_cluster(tmp_path, PROGRAMS["valkey"], FEW_RIGHTS) as setup:
        one = f"{HOST}:{setup.masters[0].port}"
        cases: list[tuple[str, str, Call, str]] = [
            ("password", setup.url("admin:s3cret"), _ping, "refuses the user or its password; correct user"),
            ("rights", setup.url("few:s3cret"), _ping, "refuses a command: "),
            ("one server", f"redis://{ADMIN_LOGIN}@{one}", _set, f"Redis at {one} is a node of a cluster; begin"),
        ]
        for name, url, call, expected in cases:
            with subtests.test(name):
                assert expected in await _find_reason(url, call)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://redis", "has to begin with one of redis://, "),
        ("redis://a,b", "names several hosts; begin it with "),
        ("redis+sentinel://a,b", "has no name of a master; add it "),
        ("redis+cluster://a,b/1", "names a database, and a cluster has only one"),
        ("redis://redis/one", "has no number of a database"),
        ("redis://redis?ssl_ca_certs=ca.pem", "has options of TLS; begin it with rediss://"),
        ("redis+cluster://redis?ssl_ca_certs=ca.pem", r"has options of TLS; begin it with rediss\+cluster://"),
        ("redis://redis?sock=1", "has an unknown option; known are db, "),
        ("redis://u:1?s3cret=2@redis", "has an unknown option; known are db, "),
        ("redis://u:1/s3cret@redis", "has no number of a database"),
        ("redis://u:1#s3cret@redis", "percent-encode"),
        ("redis://redis?socket_timeout=s3cret", "Invalid value for 'socket_timeout'"),
        ("redis+sentinel://a:1,b:s3cret/m", "cannot be read as a URL"),
    ],
)
def test_wrong_url_is_refused_at_the_start(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as fault:
        read_redis_url(url)

    assert "s3cret" not in str(fault.value)


def test_url_of_sentinels_has_hosts_a_master_and_two_logins() -> None:
    read = read_redis_url("redis+sentinel://u:p%40@a,b:1,[::1]:2/m/3?sentinel_username=s&sentinel_password=q")

    assert (read.hosts, read.master, read.options) == ((("a", 26379), ("b", 1), ("::1", 2)), "m", {"db": 3})
    assert (read.credentials.user, read.credentials.password) == ("u", "p@")
    assert (read.sentinel_credentials.user, read.sentinel_credentials.password) == ("s", "q")
    assert str(read) == "a:26379,b:1,[::1]:2/m"


async def test_new_password_in_the_file_is_used_without_a_restart(database: ClonedDatabase, tmp_path: Path) -> None:
    made = load_or_create(tmp_path / "secrets.json")
    users = {
        "token-authority": made.token_authority_redis_password,
        "polls": made.polls_redis_password,
    }
    async with run_node(tmp_path / "redis", PROGRAMS["valkey"], redis_users(made)) as node:
        files = {user: tmp_path / user for user in users}
        for user, password in users.items():
            files[user].write_text(node.url(f"{user}:{password}"))
        of_authority, of_polls = (RotatableText(file.read_text(), file) for file in files.values())
        async with (
            run_token_authority(database, of_authority, tmp_path) as authority,
            run_polls_service(database, of_polls, authority.base) as polls,
        ):
            await _wait_until(authority, polls, lambda check: check == "ok")
            for user, password in users.items():
                await node.call("ACL", "SETUSER", user, f"<{password}", ">another")
            await _disconnect_all(node)
            await _wait_until(authority, polls, lambda check: "refuses the user or its password" in check)

            for user, file in files.items():
                file.write_text(node.url(f"{user}:another"))

            await _wait_until(authority, polls, lambda check: check == "ok")
            revoked = await authority.revoke((await authority.issue())["id"])
            assert revoked["guards"] == {"confirmed": 1, "expired": 0}


async def _disconnect_all(node: RedisNode) -> None:
    for kind in ("normal", "pubsub"):
        await node.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


async def _wait_until(authority: Authority, polls: Polls, is_expected: Callable[[str], bool]) -> None:
    """Wait until the checks of both services that concern Redis are as expected."""
    async with asyncio.timeout(15):
        for service, check in ((authority, "redis"), (polls, "changes")):
            while not is_expected((await service("GET", "/readyz")).json["checks"][check]):
                await asyncio.sleep(0.05)
