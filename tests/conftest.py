"""The few fixtures that every test builds on: servers, a database of its own, and the two services."""

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import pytest

from shared.contract.token import SECRET_PATTERN
from shared.runtime.logs import configure_logs
from shared.runtime.secret import redactor
from tests.support.databases import ClonedDatabase, clone, drop, make_template
from tests.support.secrets_in_output import files_with_secrets
from tests.support.servers import servers
from tests.support.stack import Authority, Polls, polls_service, token_authority

_CLEANUP = pytest.StashKey[ExitStack]()
_LOG = pytest.StashKey[TextIO]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that the workers are started from, and say which they are."""
    if not hasattr(config, "workerinput"):
        stack = config.stash[_CLEANUP] = ExitStack()
        found = stack.enter_context(servers())
        print(f"Testing against {found.source}", flush=True)
        template = asyncio.run(make_template(found.postgres_url))
        stack.callback(lambda: asyncio.run(drop(found.postgres_url, template)))
        output = stack.enter_context(tempfile.TemporaryDirectory(prefix="pollgate-output-"))
        os.environ.update(
            POLLGATE_TEST_POSTGRES=found.postgres_url,
            POLLGATE_TEST_REDIS=found.redis_url,
            POLLGATE_TEST_TEMPLATE=template,
            POLLGATE_TEST_OUTPUT=output,
        )
    log = (Path(os.environ["POLLGATE_TEST_OUTPUT"]) / f"in-process-{os.getpid()}.log").open("a", encoding="utf-8")
    config.stash[_LOG] = log
    configure_logs("tests", redactor(SECRET_PATTERN), log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Keep long and random values out of the names of tests."""
    return argname if isinstance(val, str) and len(val) > 30 else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where anything that it wrote holds a secret."""
    if hasattr(session.config, "workerinput"):
        return
    leaks = files_with_secrets(Path(os.environ["POLLGATE_TEST_OUTPUT"]))
    if leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nFAILED: secrets were written to {', '.join(leak.name for leak in leaks)}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers."""
    logging.getLogger().handlers.clear()
    if _LOG in config.stash:
        config.stash[_LOG].close()
    if _CLEANUP in config.stash:
        config.stash[_CLEANUP].close()


@pytest.fixture
def output() -> Path:
    """Where a process that a test starts puts what it prints; searched for secrets when the run ends."""
    return Path(os.environ["POLLGATE_TEST_OUTPUT"])


@pytest.fixture
def postgres_url() -> str:
    """The server, as its superuser."""
    return os.environ["POLLGATE_TEST_POSTGRES"]


@pytest.fixture
def redis_url() -> str:
    """Redis, without restrictions."""
    return os.environ["POLLGATE_TEST_REDIS"]


@pytest.fixture
async def database(postgres_url: str) -> AsyncGenerator[ClonedDatabase, None]:
    """A migrated database of this test's own."""
    async with clone(postgres_url, os.environ["POLLGATE_TEST_TEMPLATE"]) as cloned:
        yield cloned


@pytest.fixture
async def empty_database(postgres_url: str) -> AsyncGenerator[ClonedDatabase, None]:
    """A database in which nothing has happened yet."""
    async with clone(postgres_url, None) as cloned:
        yield cloned


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    """What a test module wants the authority to be told otherwise."""
    return {}


@pytest.fixture
async def authority(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, authority_settings: dict[str, Any]
) -> AsyncGenerator[Authority, None]:
    """A running token authority, and its administrator."""
    async with token_authority(database, redis_url, tmp_path, **authority_settings) as running:
        yield running


@pytest.fixture
def polls_settings() -> dict[str, Any]:
    """What a test module wants polls to be told otherwise."""
    return {}


@pytest.fixture
def polls_limits() -> dict[str, float]:
    """The time limits, in seconds, that a test sets for polls."""
    return {}


@pytest.fixture
async def polls(
    database: ClonedDatabase,
    redis_url: str,
    authority: Authority,
    polls_settings: dict[str, Any],
    polls_limits: dict[str, float],
) -> AsyncGenerator[Polls, None]:
    """A running polls service, and an integrator at PLAT-1 whose token may do everything."""
    async with polls_service(database, redis_url, authority.base, polls_limits, **polls_settings) as caller:
        caller.endpoint = await authority.endpoint()
        caller.token = (await authority.issue())["token"]
        yield caller


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Generator[None, None, None]:
    """Nothing of the developer's own Pollgate reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        secrets = ("POLLGATE_ADMIN_KEY", "POLLGATE_ADMIN_KEY_FILE", "POLLGATE_TOKEN", "POLLGATE_TOKEN_FILE")
        for name in (*secrets, "POLLGATE_DIR", "TOKEN_AUTHORITY_URL", "POLLS_URL", "POLLS_API_URL"):
            patch.delenv(name, raising=False)
        yield
