"""TLS to Redis, with and without a client certificate, and what an operator reads when it is set up wrongly.

The Valkey that the tests install has no TLS, so these tests need the program `redis-server`.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.runtime.process.environment import SettingsError
from shared.runtime.redis.address import require_redis_url
from shared.runtime.redis.client import RedisClient, redis_client
from shared.runtime.redis.errors import RedisUnavailable
from tests.support.certificates import CertificateAuthority
from tests.support.databases import ClonedDatabase
from tests.support.redis_setups import (
    ADMIN_LOGIN,
    HOST,
    SENTINEL_USER,
    RedisNode,
    Tls,
    find_programs,
    run_node,
    run_redis_cluster,
    run_sentinels,
    sentinel_query,
)
from tests.support.stack import run_polls_service, run_token_authority

PROGRAM = find_programs().get("redis", Path())
pytestmark = pytest.mark.skipif(Path() == PROGRAM, reason="install redis-server: no other server here speaks TLS")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Return the certificates of servers that require one of their clients."""
    return Tls(tmp_path_factory.mktemp("mutual"), require_client=True)


@pytest.fixture(scope="module")
async def node(tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RedisNode, None]:
    """Run a server that requires a client certificate."""
    async with run_node(tmp_path_factory.mktemp("redis"), PROGRAM, tls=tls) as running:
        yield running


async def _use(url: str) -> None:
    """Use a connection for commands and one for a subscription."""
    async with redis_client(url) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        assert (await pubsub.get_message(timeout=10) or {}).get("type") == "subscribe"
        await redis.publish("channel", ["message"])
        assert (await pubsub.get_message(timeout=10) or {}).get("data") == b"message"
        await redis.send("SET", "key", "value", "EX", 10)
        assert await redis.send("GETDEL", "key") == b"value"


async def _find_reason(url: str) -> str:
    async with redis_client(url) as redis:
        with pytest.raises(RedisUnavailable) as fault:
            await redis.ping()
        with pytest.raises(RedisUnavailable):
            await _subscribe(redis)
    return str(fault.value)


async def _subscribe(redis: RedisClient) -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        await pubsub.get_message(timeout=10)


async def test_server_with_own_ca_works(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "tls")
    async with run_node(tmp_path / "redis", PROGRAM, tls=tls) as node:
        await _use(node.url(ADMIN_LOGIN, tls.query, scheme="rediss"))
        host = node.url(ADMIN_LOGIN, tls.query, scheme="rediss").replace(HOST, "localhost")
        assert "not valid for 'localhost'" in await _find_reason(host)
        await _use(f"{host}&ssl_check_hostname=false")


async def test_server_that_requires_a_client_certificate_works(node: RedisNode, tls: Tls) -> None:
    await _use(node.url(ADMIN_LOGIN, tls.query, scheme="rediss"))


@pytest.mark.slow
async def test_sentinels_and_master_that_require_a_client_certificate_work(tls: Tls, tmp_path: Path) -> None:
    async with run_sentinels(tmp_path, PROGRAM, sentinel_users=SENTINEL_USER, tls=tls) as setup:
        await _use(setup.url(ADMIN_LOGIN, f"{tls.query}&{sentinel_query()}", scheme="rediss"))


async def test_cluster_that_requires_a_client_certificate_works(tls: Tls, tmp_path: Path) -> None:
    async with run_redis_cluster(tmp_path, PROGRAM, tls=tls) as setup:
        await _use(setup.url(ADMIN_LOGIN, tls.query, scheme="rediss"))


async def test_wrong_tls_is_explained_in_one_sentence(
    node: RedisNode, tls: Tls, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    other = CertificateAuthority(tmp_path, "other")
    alien = other.sign("alien")
    ca = f"ssl_ca_certs={tls.authority.file}"
    for query, scheme, expected in (
        (f"ssl_ca_certs={other.file}&{tls.client_query}", "rediss", "has a certificate that is not accepted: "),
        (tls.client_query, "rediss", "has a certificate that is not accepted: "),
        (ca, "rediss", "name one"),
        (f"{ca}&ssl_certfile={alien.file}&ssl_keyfile={alien.key}", "rediss", "name one"),
        ("", "redis", "begin REDIS_URL with rediss"),
    ):
        with subtests.test(query.replace(str(tmp_path), ""), scheme=scheme):
            reason = await _find_reason(node.url(ADMIN_LOGIN, query, scheme=scheme))
            assert reason.startswith(f"Redis at {HOST}:{node.port} ")
            assert expected in reason
            assert "\n" not in reason


async def test_tls_to_a_port_without_it_is_explained(tls: Tls, tmp_path: Path) -> None:
    async with run_node(tmp_path, PROGRAM) as plain:
        reason = await _find_reason(plain.url(ADMIN_LOGIN, tls.query, scheme="rediss"))

    assert reason.startswith(f"Redis at {HOST}:{plain.port} ")
    assert "TLS" in reason


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda tls: "ssl_ca_certs=/nowhere",
            "in REDIS_URL cannot be read: No such file or directory: /nowhere",
        ),
        (lambda tls: f"ssl_ca_certs={tls.client.key}", "the options ssl_ca_certs cannot be used"),
        (lambda tls: "ssl_cert_reqs=perhaps", "the options ssl_cert_reqs cannot be used"),
        (lambda tls: f"ssl_certfile={tls.client.file}&ssl_keyfile={tls.server.key}", "cannot be used"),
    ],
)
def test_unusable_certificate_is_refused_at_the_start(tls: Tls, make: Callable[[Tls], str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        require_redis_url(f"rediss://redis?{make(tls)}")


async def test_readyz_of_both_services_says_that_a_client_certificate_is_missing(
    database: ClonedDatabase, node: RedisNode, tls: Tls, tmp_path: Path
) -> None:
    url = node.url(ADMIN_LOGIN, f"ssl_ca_certs={tls.authority.file}", scheme="rediss")
    async with AsyncExitStack() as stack:
        authority = await stack.enter_async_context(run_token_authority(database, url, tmp_path))
        polls = await stack.enter_async_context(run_polls_service(database, url, authority.base))
        for service, check in ((authority, "redis"), (polls, "changes")):
            answer = await service("GET", "/readyz")
            assert answer.status in (200, 503)
            assert "ssl_certfile" in answer.json["checks"][check]
