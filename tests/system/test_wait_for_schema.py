"""`pollgate wait-for-schema`: what an init container does until `pollgate migrate` has run somewhere else."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process

import pytest

from pollgate.stack.migrate import migrate_all
from tests.support.databases import ClonedDatabase, role_passwords

pytestmark = pytest.mark.own_database

SERVICES = {"token-authority": "TOKEN_AUTHORITY_DATABASE_URL", "polls": "POLLS_DATABASE_URL"}


async def start(service: str, environ: dict[str, str], *options: str) -> Process:
    command = [sys.executable, "-m", "pollgate", "wait-for-schema", service, *options]
    return await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=STDOUT)


async def finish(process: Process) -> tuple[int | None, str]:
    """Return the exit status and the output that has not been read."""
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_wait_ends_when_another_process_has_migrated(empty_database: ClonedDatabase, service: str) -> None:
    url = getattr(empty_database, f"{service.replace('-', '_')}_url")
    process = await start(service, {SERVICES[service]: url})
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
    assert line.startswith(b"waiting: ")

    await migrate_all(empty_database.admin_url, role_passwords())

    status, output = await finish(process)
    assert status == 0
    assert all(line.startswith("waiting: ") for line in output.splitlines())


async def test_wait_for_migrated_schema_ends_at_once_without_output(database: ClonedDatabase) -> None:
    assert await finish(await start("polls", {"POLLS_DATABASE_URL": database.polls_url})) == (0, "")


async def test_wait_beyond_its_time_says_what_was_waited_for(empty_database: ClonedDatabase) -> None:
    url = empty_database.admin_url
    status, output = await finish(await start("polls", {"POLLS_DATABASE_URL": url}, "--timeout", "0"))
    assert status == 1
    assert output == "pollgate: waited for 0 s: schema polls lacks 0001_polls.sql; run `pollgate migrate` first\n"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "POLLS_DATABASE_URL is not set"),
        ({"POLLS_DATABASE_URL": "postgresql://polls:s3cret@db:99999999/x"}, "a port is a number from 1 to 65535"),
    ],
)
async def test_wait_without_usable_url_ends_at_once(environ: dict[str, str], expected: str) -> None:
    status, output = await finish(await start("polls", environ))
    assert status == 1
    assert expected in output
    assert "s3cret" not in output
    assert "Traceback" not in output
