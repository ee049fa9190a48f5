"""Run the whole stack on one machine: PostgreSQL, Redis and the two services, which start and stop together."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import SubprocessError
from typing import Final, NamedTuple

import aiohttp

from pollgate.client import AuthorityClient, ClientError, PollsClient, Unauthorized
from pollgate.doctor.environment import publish_environment
from pollgate.stack.embedded import EmbeddedPostgres, free_port, redis_command, start_postgres
from pollgate.stack.errors import StackError
from pollgate.stack.migrate import SCHEMAS, migrate_all
from pollgate.stack.processes import Processes
from pollgate.stack.secrets import StackSecrets, load_or_create, redis_users
from pollgate.stack.welcome import welcome, welcome_without_key
from shared.runtime.process.private_file import require_safe_folder
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.errors import RedisUnavailable

START_LIMIT_S: Final = 20.0
HOST: Final = "127.0.0.1"
SAMPLE_POLL: Final = {
    "template": "stars",
    "title": "How do you like Pollgate?",
    "description": "A sample poll. Vote in several browsers, and watch the results change.",
    "location": {"workspace": "PLAT", "content": "SAMPLE-1"},
    "settings": {"allowRevote": True},
}


class Ports(NamedTuple):
    """The ports of the two services."""

    polls: int
    token_authority: int


async def run_stack(folder: Path, ports: Ports) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. Raise `StackError` when a part cannot start, or exits."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        stack.enter_context(_folder_lock(folder))
        processes = Processes(folder / "processes.json")
        for name in await processes.reap():
            _print_line(f"Stopped {name}, which an earlier run left running")
        for variable, port in (("POLLS_PORT", ports.polls), ("TOKEN_AUTHORITY_PORT", ports.token_authority)):
            _require_free(port, variable)
        await _start(stack, processes, folder, ports)
        print(await _welcome(folder, ports), flush=True)
        await _wait_until_stopped(stop, processes, folder)


async def _start(stack: AsyncExitStack, processes: Processes, folder: Path, ports: Ports) -> None:
    secrets = load_or_create(folder / "secrets.json")
    postgres = await stack.enter_async_context(_postgres(folder, secrets))
    redis_port = await stack.enter_async_context(_redis(processes, folder, secrets))
    passwords = dict(
        zip(SCHEMAS, (secrets.token_authority_database_password, secrets.polls_database_password), strict=True)
    )
    for line in await migrate_all(postgres.url("postgres", secrets.postgres_password), passwords):
        _print_line(f"Migrated {line}")
    authority_url, polls_url = f"http://{HOST}:{ports.token_authority}", f"http://{HOST}:{ports.polls}"
    authority = {
        "TOKEN_AUTHORITY_PORT": str(ports.token_authority),
        "TOKEN_AUTHORITY_ISSUER": authority_url,
        "TOKEN_AUTHORITY_DATABASE_URL": _authority_database_url(postgres, secrets),
        "REDIS_URL": f"redis://token-authority:{secrets.token_authority_redis_password}@{HOST}:{redis_port}",
        "SERVICE_CREDENTIALS": secrets.service_credentials,
        "KEY_ENCRYPTION_KEY": secrets.key_encryption_key,
        "ADMIN_KEY_FILE": str(folder / "admin.key"),
        "JOURNAL_FILE": _journal(folder),
        "POLLS_URL": polls_url,
    }
    polls = {
        "POLLS_PORT": str(ports.polls),
        "POLLS_DATABASE_URL": postgres.url("polls", secrets.polls_database_password),
        "REDIS_URL": f"redis://polls:{secrets.polls_redis_password}@{HOST}:{redis_port}",
        "TOKEN_AUTHORITY_URL": authority_url,
        "RESOURCE_URL": polls_url,
        "INTROSPECTION_CLIENT_SECRET": secrets.polls_client_secret,
        "PARTICIPANT_KEY": secrets.participant_key,
    }
    stack.enter_context(publish_environment(folder, _doctor_environment(authority, polls)))
    await stack.enter_async_context(_service(processes, folder, "token-authority", ports.token_authority, authority))
    await stack.enter_async_context(_service(processes, folder, "polls", ports.polls, polls))


def _doctor_environment(authority: Mapping[str, str], polls: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which `pollgate doctor` finds the parts."""
    return {
        "TOKEN_AUTHORITY_URL": authority["TOKEN_AUTHORITY_ISSUER"],
        "TOKEN_AUTHORITY_DATABASE_URL": authority["TOKEN_AUTHORITY_DATABASE_URL"],
        "REDIS_URL": authority["REDIS_URL"],
        "POLLS_REPLICAS_URL": polls["RESOURCE_URL"],
        "POLLS_DATABASE_URL": polls["POLLS_DATABASE_URL"],
    }


@asynccontextmanager
async def run_postgres_of(folder: Path) -> AsyncGenerator[dict[str, str], None]:
    """Run the PostgreSQL of a stack that is stopped. Yield those settings of its authority that need no other server.

    Raise `StackError`, also if the stack runs.
    """
    if not await asyncio.to_thread((folder / "secrets.json").exists):
        raise StackError(f"there is no stack in {folder}; name the folder that `pollgate up` uses with --dir")
    with _folder_lock(folder):
        secrets = load_or_create(folder / "secrets.json")
        postgres = await _start_postgres(folder, secrets)
        try:
            yield {
                "TOKEN_AUTHORITY_DATABASE_URL": _authority_database_url(postgres, secrets),
                "REDIS_URL": "redis://127.0.0.1",
                "SERVICE_CREDENTIALS": secrets.service_credentials,
                "KEY_ENCRYPTION_KEY": secrets.key_encryption_key,
                "JOURNAL_FILE": _journal(folder),
            }
        finally:
            await asyncio.to_thread(postgres.stop)


def _authority_database_url(postgres: EmbeddedPostgres, secrets: StackSecrets) -> str:
    return postgres.url("token_authority", secrets.token_authority_database_password)


def _journal(folder: Path) -> str:
    return str(folder / "journal" / "journal.jsonl")


@contextmanager
def _folder_lock(folder: Path) -> Generator[None, None, None]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_safe_folder(folder)
        with (folder / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(f"another `pollgate up` is using {folder}; stop it, or choose another --dir") from None
            yield
    except OSError as error:
        raise StackError(f"cannot use the folder {folder}: {error.strerror}; choose another with --dir") from None


@asynccontextmanager
async def _postgres(folder: Path, secrets: StackSecrets) -> AsyncGenerator[EmbeddedPostgres, None]:
    started = time.monotonic()
    postgres = await _start_postgres(folder, secrets)
    _print_line(f"PostgreSQL is up ({time.monotonic() - started:.1f} s)")
    try:
        yield postgres
    finally:
        _print_line("Stopping PostgreSQL")
        await asyncio.to_thread(postgres.stop)


async def _start_postgres(folder: Path, secrets: StackSecrets) -> EmbeddedPostgres:
    if " " in str(folder):
        raise StackError(
            f"the embedded PostgreSQL cannot run in a path with a space: {folder}; choose another with --dir"
        )
    try:
        return await start_postgres(folder / "postgres", secrets.postgres_password)
    except SubprocessError:
        log = folder / "postgres" / "log"
        raise StackError(f"PostgreSQL does not start: {_last_line(log)}") from None


@asynccontextmanager
async def _redis(processes: Processes, folder: Path, secrets: StackSecrets) -> AsyncGenerator[int, None]:
    started = time.monotonic()
    port = free_port()
    command = redis_command(folder / "redis", redis_users(secrets), port)
    processes.start("redis", command, os.environ, folder / "logs" / "redis.log")
    try:
        async with redis_client(f"redis://{HOST}:{port}") as client:
            await _wait_until_ready(processes, "redis", port, folder, client.ping)
        _print_line(f"Redis is up ({time.monotonic() - started:.1f} s)")
        yield port
    finally:
        _print_line("Stopping Redis")
        await processes.stop("redis")


@asynccontextmanager
async def _service(
    processes: Processes, folder: Path, name: str, port: int, settings: dict[str, str]
) -> AsyncGenerator[None, None]:
    started = time.monotonic()
    command = [sys.executable, "-m", f"services.{name.replace('-', '_')}"]
    environment = {**os.environ, **settings, "SHUTDOWN_GRACE_S": "0"}  # nothing could choose another replica
    processes.start(name, command, environment, folder / "logs" / f"{name}.log")
    try:
        async with aiohttp.ClientSession() as session:

            async def check_ready() -> None:
                async with session.get(f"http://{HOST}:{port}/readyz") as answer:
                    if "restoration" in (unready := await _find_unready(answer)):
                        raise StackError(f"{unready['restoration']}, each with --dir {folder}")
                    answer.raise_for_status()

            await _wait_until_ready(processes, name, port, folder, check_ready)
        _print_line(f"{name} is up on http://{HOST}:{port} ({time.monotonic() - started:.1f} s)")
        yield
    finally:
        _print_line(f"Stopping {name}")
        await processes.stop(name)


async def _wait_until_ready(
    processes: Processes, name: str, port: int, folder: Path, check: Callable[[], Awaitable[object]]
) -> None:
    """Wait until the process listens on `port` and `check` does not raise.

    Another program may have taken the port first, so an answer alone is not enough. Raise `StackError` where the
    process exits or takes too long.
    """
    give_up = time.monotonic() + START_LIMIT_S
    while not (processes.is_listening(name, port) and await _succeeds(check)):
        if processes.find_ended() or time.monotonic() > give_up:
            raise StackError(f"{name} does not start: {_last_line(folder / 'logs' / f'{name}.log')}")
        await asyncio.sleep(0.05)


async def _find_unready(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Return what `/readyz` says of each check that has failed."""
    checks: dict[str, str] = (await answer.json())["checks"]
    return {name: reason for name, reason in checks.items() if reason != "ok"}


async def _succeeds(check: Callable[[], Awaitable[object]]) -> bool:
    try:
        await check()
    except (OSError, TimeoutError, RedisUnavailable, aiohttp.ClientError):
        return False
    return True


async def _welcome(folder: Path, ports: Ports) -> str:
    """Return the text for the terminal, with a new sign-in link.

    On the first start, it also has a new demo token and the voting link of a sample poll, which are not shown again.
    """
    admin_key = (folder / "admin.key").read_text(encoding="utf-8").strip()
    authority_url, polls_url = f"http://{HOST}:{ports.token_authority}", f"http://{HOST}:{ports.polls}"
    try:
        async with AuthorityClient(authority_url, admin_key) as authority:
            site = (await authority.list_sites())[0]
            secret = await _create_demo_token(authority)
            link = await authority.create_sign_in_link()
        voting_link = await _create_sample_poll(polls_url, secret) if secret else None
    except Unauthorized:
        return welcome_without_key(polls=polls_url, authority=authority_url, folder=folder)
    except ClientError as error:
        raise StackError(str(error)) from None
    return welcome(
        endpoint=f"{polls_url}/x1/{site.endpoint_id}",
        authority=authority_url,
        folder=folder,
        sign_in_link=link.url,
        demo_token=secret,
        voting_link=voting_link,
    )


async def _create_demo_token(authority: AuthorityClient) -> str | None:
    """Return the secret of a new token if there is none yet."""
    async for _ in authority.list_tokens(1):
        return None
    expiry = datetime.now(UTC) + timedelta(days=30)
    return (await authority.create_token("Demo token", ["polls:*:PLAT"], expires_at=expiry)).token


async def _create_sample_poll(polls_url: str, token: str) -> str:
    """Create a poll, and return the address of a voting link for it."""
    async with PollsClient(polls_url, token) as polls:
        poll = await polls.create_poll(SAMPLE_POLL)
        return (await polls.create_shared_link(poll.id, label="Printed by the first start")).url


async def _wait_until_stopped(stop: asyncio.Event, processes: Processes, folder: Path) -> None:
    while not stop.is_set():
        ended = processes.find_ended()
        if ended:
            reason = f"{ended.reason}; its last line: {_last_line(folder / 'logs' / f'{ended.name}.log')}"
            raise StackError(f"{ended.name} exited unexpectedly: {reason}")
        try:
            await asyncio.wait_for(stop.wait(), 0.5)
        except TimeoutError:
            continue
    print(flush=True)


def _require_free(port: int, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such port"
            raise StackError(
                f"cannot listen on {HOST}:{port}: {reason}. Choose another: {variable}=… make run"
            ) from None


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return f"{lines[-1]} (log: {log})" if lines else f"see {log}"


def _print_line(line: str) -> None:
    print(f"  {line}", flush=True)
