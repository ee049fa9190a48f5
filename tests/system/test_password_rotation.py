"""The passwords of the roles change under load: no request fails, and no process is restarted."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import pytest

from pollgate.stack.migrate import SCHEMAS, migrate_all
from shared.runtime.process.environment import RotatableText
from tests.support.databases import ClonedDatabase, role_passwords, urls_of
from tests.support.postgres import fetch
from tests.support.postgres_server import run_primary, url_of
from tests.support.stack import LUNCH_OPTIONS, Authority, Polls, run_polls_service, run_token_authority

FEW, MANY = 1, 8
"""Clients before the change, and from the change on, so that the pools have to open connections."""
REQUESTS: Final = 40
NEW_PASSWORD: Final = "of-a-test-2"


class Rotation(NamedTuple):
    """Running services, the files of their URLs, and the database."""

    authority: Authority
    polls: Polls
    files: dict[str, Path]
    database: ClonedDatabase

    def write_files(self) -> None:
        """Write the new password into the files of the URLs."""
        for role, file in self.files.items():
            file.write_text(file.read_text().replace(f"{role}:of-a-test@", f"{role}:{NEW_PASSWORD}@"))

    async def change_roles(self) -> None:
        """Set the new password in PostgreSQL, as `pollgate migrate` does."""
        await migrate_all(self.database.admin_url, dict.fromkeys(SCHEMAS, NEW_PASSWORD))


@pytest.fixture
async def rotation(redis_url: str, tmp_path: Path) -> AsyncGenerator[Rotation, None]:
    """Run the services with URLs in files, on a server of this test: the passwords of roles belong to the server."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(run_primary(tmp_path / "server"))
        await fetch(server.url, "CREATE DATABASE pollgate")
        database = urls_of(url_of([server], "pollgate"), "pollgate")
        await migrate_all(database.admin_url, role_passwords())
        urls = {"token_authority": database.token_authority_url, "polls": database.polls_url}
        files = {role: tmp_path / f"{role}_url" for role in urls}
        for role, file in files.items():
            file.touch(mode=0o600)
            file.write_text(urls[role])
        texts = {role: RotatableText(urls[role], file) for role, file in files.items()}
        authority = await stack.enter_async_context(
            run_token_authority(
                database,
                redis_url,
                tmp_path,
                token_authority_database_url=texts["token_authority"],
                database_pool_size=12,
            )
        )
        polls = await stack.enter_async_context(
            run_polls_service(
                database, redis_url, authority.base, polls_database_url=texts["polls"], database_pool_size=12
            )
        )
        polls.endpoint = await authority.get_endpoint()
        polls.token = (await authority.issue())["token"]
        yield Rotation(authority, polls, files, database)


class Load:
    """Clients that create polls and tokens. `failures` has the statuses that are not 201."""

    def __init__(self, rotation: Rotation) -> None:
        self.done = 0
        self.failures: list[int] = []
        self._rotation = rotation

    async def run(self, stop: Callable[[], bool]) -> None:
        """Send requests, one after the other, until `stop()`."""
        while not stop():
            poll = {"location": dict(self._rotation.polls.place), "title": "Lunch?", "options": LUNCH_OPTIONS}
            answers = await asyncio.gather(
                self._rotation.polls.v1("POST", "/polls", poll),
                self._rotation.authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": ["polls:*:*"]}),
            )
            self.failures += [answer.status for answer in answers if answer.status != 201]
            self.done += 1

    async def wait_for(self, count: int) -> None:
        """Wait until so many more requests are answered."""
        count += self.done
        while self.done < count:
            await asyncio.sleep(0.01)


async def _file_first(rotation: Rotation, load: Load) -> None:
    rotation.write_files()
    await load.wait_for(REQUESTS)
    await rotation.change_roles()


async def _roles_first(rotation: Rotation, load: Load) -> None:
    admin = await asyncpg.connect(rotation.database.admin_url)
    await admin.execute("; ".join(f"ALTER ROLE {role} PASSWORD '{NEW_PASSWORD}'" for role in rotation.files))
    rotation.write_files()
    await admin.close()


@pytest.mark.parametrize("change", [_file_first, _roles_first])
async def test_password_is_rotated_under_load_without_a_failed_request(
    rotation: Rotation, change: Callable[[Rotation, Load], "asyncio.Future[None]"]
) -> None:
    load, stop = Load(rotation), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(FEW):
            group.create_task(load.run(stop.is_set))
        await load.wait_for(REQUESTS)
        opened_before = await _count_connections(rotation)
        for _ in range(MANY):
            group.create_task(load.run(stop.is_set))
        await change(rotation, load)
        await load.wait_for(REQUESTS)
        stop.set()
    opened_after = await _count_connections(rotation)

    print(f"{load.done} pairs of requests, {len(load.failures)} failed; connections {opened_before}, {opened_after}")
    assert load.failures == []
    assert opened_after > opened_before
    await fetch(rotation.database.admin_url, _END_CONNECTIONS)
    async with asyncio.timeout(10):
        while (await rotation.polls.v1("GET", "/polls")).status != 200:
            await asyncio.sleep(0.05)


_END_CONNECTIONS: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('polls', 'token_authority')
"""


async def _count_connections(rotation: Rotation) -> int:
    query = "SELECT pid FROM pg_stat_activity WHERE usename IN ('polls', 'token_authority')"
    return len(await fetch(rotation.database.admin_url, query))
