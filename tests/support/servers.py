"""Run PostgreSQL and Redis for the tests: those of the environment, else containers, else embedded servers."""

import asyncio
import gc
import os
import tempfile
import warnings
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import docker
from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.redis import RedisContainer

from pollgate.stack.embedded import start_postgres, temporary_redis

SUPERUSER_PASSWORD = "postgres"
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "scram_iterations": "1"}
"""The data need not survive a crash, and the passwords protect nothing."""


class Servers(NamedTuple):
    """`postgres_url` is for the superuser; `source` names where the servers come from."""

    postgres_url: str
    redis_url: str
    source: str


class ServersUnusable(Exception):
    """The servers that the environment names cannot be used; the message says why, and what to do."""


@contextmanager
def run_servers() -> Generator[Servers, None, None]:
    """Run the servers during the block. Raise `ServersUnusable`."""
    postgres_url, redis_url = os.environ.get("TEST_POSTGRES_URL"), os.environ.get("TEST_REDIS_URL")
    if postgres_url and redis_url:
        if urlsplit(redis_url).path.strip("/"):
            raise ServersUnusable("TEST_REDIS_URL names a database; leave it out: each test process uses another one")
        yield Servers(postgres_url, redis_url, "TEST_POSTGRES_URL and TEST_REDIS_URL")
        return
    with ExitStack() as stack:
        why_not = "no Docker engine answers"
        if _is_docker_available():
            try:
                started = stack.enter_context(_run_containers())
            except DockerException as error:
                why_not = f"the Docker engine cannot start them: {error}"
            else:
                yield started
                return
        started = stack.enter_context(_run_embedded())
        yield started._replace(source=f"{started.source} ({why_not})")


def _is_docker_available() -> bool:
    with warnings.catch_warnings():
        # A client that finds no engine leaves its socket open.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=3)
        except DockerException:
            client = None
        gc.collect()
    if client is None:
        return False
    with closing(client):
        return bool(client.ping())


@contextmanager
def _run_containers() -> Generator[Servers, None, None]:
    postgres = PostgresContainer("postgres:17", username="postgres", password=SUPERUSER_PASSWORD, driver=None)
    settings = {**FAST_SETTINGS, "max_connections": "300"}
    postgres.with_command("postgres " + " ".join(f"-c {name}={value}" for name, value in settings.items()))
    with postgres, RedisContainer("redis:8") as redis:
        redis_url = f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}"
        yield Servers(postgres.get_connection_url(), redis_url, "containers (testcontainers)")


@contextmanager
def _run_embedded() -> Generator[Servers, None, None]:
    with tempfile.TemporaryDirectory(prefix="pollgate-tests-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        postgres = asyncio.run(start_postgres(folder / "postgres", SUPERUSER_PASSWORD))
        try:
            url = postgres.url("postgres", SUPERUSER_PASSWORD, "postgres")
            asyncio.run(_apply_fast_settings(url))
            with temporary_redis(folder / "redis") as redis_url:
                yield Servers(url, redis_url, "embedded servers")
        finally:
            postgres.stop()


async def _apply_fast_settings(url: str) -> None:
    """Apply `FAST_SETTINGS`, also to the password of the superuser."""
    connection = await asyncpg.connect(url)
    for name, value in FAST_SETTINGS.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
    await connection.execute("SELECT pg_reload_conf()")
    while await connection.fetchval("SHOW scram_iterations") != FAST_SETTINGS["scram_iterations"]:
        await asyncio.sleep(0.01)
    await connection.execute(f"ALTER ROLE postgres PASSWORD '{SUPERUSER_PASSWORD}'")
    await connection.close()
