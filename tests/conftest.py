"""Fixtures of all tests: the servers, a database without rows of other tests, and the two services.

A test gets separate services, or the services of its module if the module is marked `shared_services`.
"""

import asyncio
import gc
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TextIO, cast
from urllib.parse import urlsplit, urlunsplit

import pytest
import uvloop
from redis.asyncio import Redis

from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.process.logs import configure_logs
from shared.runtime.process.redaction import redactor
from tests.support.databases import (
    ClonedDatabase,
    SharedDatabase,
    clone_database,
    create_template,
    drop_database,
    run_shared_database,
)
from tests.support.secrets_in_output import find_files_with_secrets
from tests.support.servers import ServersUnusable, run_servers
from tests.support.shared_stack import SharedStack, run_shared_stack, wait_for_lease
from tests.support.stack import Authority, Polls, run_polls_service, run_token_authority
from tests.support.time_limit import limit_time

REDIS_DATABASES: Final = 16
FULL_COLLECTION_AFTER_TEST: Final = 10
FULL_COLLECTION_WITHIN_TEST: Final = 200
"""How many collections of the second generation make a full one due."""
_CLEANUP = pytest.StashKey[ExitStack]()
_LOG = pytest.StashKey[TextIO]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for tests that need no servers."""
    parser.addoption("--no-servers", action="store_true", help="start neither PostgreSQL nor Redis")


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that starts the workers, and print which they are."""
    if not hasattr(config, "workerinput"):
        if (config.getoption("numprocesses", None) or 0) > REDIS_DATABASES:
            raise pytest.UsageError(f"each test process uses one of {REDIS_DATABASES} Redis databases")
        stack = config.stash[_CLEANUP] = ExitStack()
        output = stack.enter_context(tempfile.TemporaryDirectory(prefix="pollgate-output-"))
        os.environ["POLLGATE_TEST_OUTPUT"] = output
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process that a test starts would compile everything
        if not config.getoption("--no-servers"):
            _start_servers(stack)
    log = (Path(os.environ["POLLGATE_TEST_OUTPUT"]) / f"in-process-{os.getpid()}.log").open("a", encoding="utf-8")
    config.stash[_LOG] = log
    configure_logs("tests", redactor(SECRET_PATTERN, SECRET_START), log)


def _start_servers(stack: ExitStack) -> None:
    try:
        found = stack.enter_context(run_servers())
    except ServersUnusable as error:
        raise pytest.UsageError(str(error)) from None
    print(f"Testing against {found.source}", flush=True)
    template = asyncio.run(create_template(found.postgres_url))
    stack.callback(lambda: asyncio.run(drop_database(found.postgres_url, template)))
    os.environ.update(
        POLLGATE_TEST_POSTGRES=found.postgres_url,
        POLLGATE_TEST_REDIS=found.redis_url,
        POLLGATE_TEST_TEMPLATE=template,
    )


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests on the event loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Limit the time of the test."""
    if isinstance(item, pytest.Function):
        limit_time(item)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that start processes: they take longest, and would keep one test process busy at the end.

    Spread the modules of page tests evenly over the others, so that browsers seldom compute at the same time: the
    services would miss their time limits.
    """
    places: dict[Path, float] = {}
    for part in ("system", "pages", ""):
        of_part = [item for item in items if _part_of(item) == part]
        for index, item in enumerate(of_part):
            places.setdefault(item.path, index / len(of_part))
    items.sort(key=lambda item: (_part_of(item) != "system", places[item.path]))


def _part_of(item: pytest.Item) -> str:
    """Return `system`, `pages`, or an empty text for all other tests."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder if folder in ("system", "pages") else ""


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection: they live as long as the process.

    A full collection of the rest takes a second while browsers keep the processors busy. Services that run in this
    process would miss a time limit, so it waits for the end of a test, and interrupts only one that makes much garbage.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_COLLECTION_WITHIN_TEST)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Collect garbage if a full collection is due."""
    if gc.get_count()[2] >= FULL_COLLECTION_AFTER_TEST:
        gc.collect()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Keep long and random values out of the names of tests."""
    return argname if isinstance(val, str) and len(val) > 30 else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if its output contains a secret."""
    if hasattr(session.config, "workerinput"):
        return
    leaks = find_files_with_secrets(Path(os.environ["POLLGATE_TEST_OUTPUT"]))
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
    """Return the folder for the output of processes. It is searched for secrets at the end of the run."""
    return Path(os.environ["POLLGATE_TEST_OUTPUT"])


@pytest.fixture
def postgres_url() -> str:
    """Return the URL of PostgreSQL, for its superuser."""
    return _server("POLLGATE_TEST_POSTGRES")


@pytest.fixture
async def redis_url(_redis: Redis) -> str:
    """Return the URL of Redis, without the counts of earlier tests. All test processes share its channels."""
    if keys := await _redis.keys("pollgate:*"):
        await _redis.delete(*keys)
    return _redis_url()


@pytest.fixture
def database(request: pytest.FixtureRequest, shares_services: bool) -> ClonedDatabase:
    """Return the database of this test's services: migrated, without rows of other tests."""
    if shares_services:
        request.getfixturevalue("_shared_authority")
        stack: SharedStack = request.getfixturevalue("_module_stack")
        return stack.database.urls
    is_own = request.node.get_closest_marker("own_database")
    return cast(ClonedDatabase, request.getfixturevalue("_own_database" if is_own else "_emptied_database"))


@pytest.fixture
async def empty_database(postgres_url: str) -> AsyncGenerator[ClonedDatabase, None]:
    """Create an empty database, which is not migrated."""
    async with clone_database(postgres_url, None) as cloned:
        yield cloned


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    """Return settings of the authority. A test module may override this."""
    return {}


@pytest.fixture
def polls_settings() -> dict[str, Any]:
    """Return settings of polls. A test module may override this."""
    return {}


@pytest.fixture
def polls_limits() -> dict[str, float]:
    """Return time limits of polls in seconds. A test module may override this."""
    return {}


@pytest.fixture
def authority(request: pytest.FixtureRequest, shares_services: bool) -> Authority:
    """Return a client of a running token authority, with its admin key."""
    return cast(Authority, request.getfixturevalue("_shared_authority" if shares_services else "_own_authority"))


@pytest.fixture
def polls(request: pytest.FixtureRequest, shares_services: bool) -> Polls:
    """Return a client of a running polls service at PLAT-1, with a token that may do everything."""
    return cast(Polls, request.getfixturevalue("_shared_polls" if shares_services else "_own_polls"))


@pytest.fixture
def shares_services(
    request: pytest.FixtureRequest,
    authority_settings: dict[str, Any],
    polls_settings: dict[str, Any],
    polls_limits: dict[str, float],
) -> bool:
    """Return whether the test uses the shared services of its module: it is marked so and overrides no settings."""
    marks = {mark.name for mark in request.node.iter_markers()}
    needs_own = authority_settings or polls_settings or polls_limits or marks & {"own_services", "own_database"}
    return "shared_services" in marks and not needs_own


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Generator[None, None, None]:
    """Keep the developer's own settings of Pollgate away from the tests."""
    with pytest.MonkeyPatch.context() as patch:
        secrets = ("POLLGATE_ADMIN_KEY", "POLLGATE_ADMIN_KEY_FILE", "POLLGATE_TOKEN", "POLLGATE_TOKEN_FILE")
        for name in (*secrets, "POLLGATE_DIR", "TOKEN_AUTHORITY_URL", "POLLS_URL", "POLLS_API_URL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
async def _redis() -> AsyncGenerator[Redis, None]:
    async with Redis.from_url(_redis_url()) as redis:
        yield redis


def _redis_url() -> str:
    """Return the URL of the numbered Redis database that this test process has for itself."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return urlunsplit(urlsplit(_server("POLLGATE_TEST_REDIS"))._replace(path=f"/{number}"))


def _template() -> tuple[str, str]:
    return _server("POLLGATE_TEST_POSTGRES"), _server("POLLGATE_TEST_TEMPLATE")


def _server(variable: str) -> str:
    if variable not in os.environ:
        pytest.fail("this test needs PostgreSQL and Redis: run it without --no-servers", pytrace=False)
    return os.environ[variable]


@pytest.fixture
async def _own_database() -> AsyncGenerator[ClonedDatabase, None]:
    async with clone_database(*_template()) as cloned:
        yield cloned


@pytest.fixture(scope="session")
async def _database_of_own_services() -> AsyncGenerator[SharedDatabase, None]:
    async with run_shared_database(*_template()) as shared:
        yield shared


@pytest.fixture
async def _emptied_database(_database_of_own_services: SharedDatabase) -> ClonedDatabase:
    await _database_of_own_services.disconnect_others()
    await _database_of_own_services.reset()
    return _database_of_own_services.urls


@pytest.fixture
async def _own_authority(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, authority_settings: dict[str, Any]
) -> AsyncGenerator[Authority, None]:
    async with run_token_authority(database, redis_url, tmp_path, **authority_settings) as running:
        yield running


@pytest.fixture
async def _own_polls(
    database: ClonedDatabase,
    redis_url: str,
    authority: Authority,
    polls_settings: dict[str, Any],
    polls_limits: dict[str, float],
) -> AsyncGenerator[Polls, None]:
    async with run_polls_service(database, redis_url, authority.base, polls_limits, **polls_settings) as caller:
        caller.endpoint = await authority.get_endpoint()
        caller.token = (await authority.issue())["token"]
        yield caller


@pytest.fixture(scope="session")
async def _database_of_shared_services() -> AsyncGenerator[SharedDatabase, None]:
    async with run_shared_database(*_template()) as shared:
        yield shared


@pytest.fixture(scope="module")
async def _module_stack(
    _database_of_shared_services: SharedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[SharedStack, None]:
    async with run_shared_stack(
        _database_of_shared_services, _redis_url(), tmp_path_factory.mktemp("authority")
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
async def _module_polls(_module_stack: SharedStack) -> AsyncGenerator[Polls, None]:
    authority = _module_stack.authority
    await _module_stack.reset()
    async with run_polls_service(_module_stack.database.urls, _redis_url(), authority.base) as polls:
        polls.endpoint = await authority.get_endpoint()
        _module_stack.polls = polls
        yield polls
        _module_stack.polls = None


@pytest.fixture
async def _shared_authority(_module_stack: SharedStack, redis_url: str) -> Authority:
    await _module_stack.reset()
    return _module_stack.authority


@pytest.fixture
async def _shared_polls(_module_polls: Polls, _shared_authority: Authority) -> Polls:
    await wait_for_lease(_module_polls)
    return _module_polls.with_token((await _shared_authority.issue())["token"])
