"""PostgreSQL with a time limit on everything, fair under contention, and one error for "not there".

Nothing of a session outlives a statement or a transaction, so that a transaction pooler may stand in between.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qs

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from shared.runtime.postgres.query_metrics import QueryMetrics
from shared.runtime.process.environment import split_url

STATEMENT_LIMIT_S: Final = 1.0
CALL_LIMIT_S: Final = 1.5
"""From waiting for a connection to the result of one statement."""
TRANSACTION_LIMIT_S: Final = 2.0
KEPT_OPEN: Final = 4
"""Connections that are opened at the start, so that the first requests do not wait for them."""

_log = structlog.get_logger()

Row = Mapping[str, Any]
T = TypeVar("T")


class DatabaseUnavailable(Exception):
    """PostgreSQL did not answer, in time or at all. The message says which address was tried and what came of it."""


class LockTimeout(DatabaseUnavailable):
    """Another transaction had what this one needs, for longer than it waits."""


class UnstorableValue(Exception):
    """PostgreSQL cannot hold a value that it was given, such as text with a NUL character."""


class Connection(Protocol):
    """What storage needs: one statement, in a transaction or on its own."""

    async def fetch(self, query: str, *arguments: Any) -> list[Row]: ...
    async def fetchrow(self, query: str, *arguments: Any) -> Row | None: ...
    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str: ...


class Transaction(Connection, Protocol):
    """One that is open; what is done within a savepoint is undone where the block raises, and nothing else is."""

    def savepoint(self) -> AbstractAsyncContextManager[None]: ...


_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InternalServerError,
    asyncpg.PostgresSystemError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidTransactionStateError,  # read-only, or ended by the server for having been idle
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


_UNSTORABLE: Final = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,  # longer than an index holds
)


class Database:
    """A pool of connections to one database as one role."""

    def __init__(self, pool: "asyncpg.Pool", address: str, size: int, statements: QueryMetrics) -> None:
        self._pool = pool
        self._statements = statements
        self._turns = asyncio.Semaphore(size)
        self.address = address

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        """The rows of one statement. Raises `DatabaseUnavailable`, `UnstorableValue`."""
        async with self._connection(CALL_LIMIT_S) as connection:
            return await self._counted(connection).fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        """The first row of one statement. Raises `DatabaseUnavailable`, `UnstorableValue`."""
        async with self._connection(CALL_LIMIT_S) as connection:
            return await self._counted(connection).fetchrow(query, *arguments)

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        """The command tag of one statement, which may take `limit_s` seconds where that is more than usual.

        Raises `DatabaseUnavailable`, `UnstorableValue`.
        """
        if limit_s is not None:
            async with self.transaction(limit_s) as transaction:
                return await transaction.execute(query, *arguments, limit_s=limit_s)
        async with self._connection(CALL_LIMIT_S) as connection:
            return await self._counted(connection).execute(query, *arguments)

    async def ping(self) -> None:
        """Raises `DatabaseUnavailable` where the server does not answer."""
        await self.execute("-- ping: whether the server answers\nSELECT 1")

    @asynccontextmanager
    async def transaction(self, limit_s: float | None = None) -> AsyncGenerator[Transaction, None]:
        """One transaction, committed when the block ends and rolled back when it raises.

        Each of its statements sees all that was committed before it began.
        """
        async with self._connection(limit_s or TRANSACTION_LIMIT_S) as connection:
            transaction = connection.transaction(isolation="read_committed")
            await transaction.start()
            try:
                yield self._counted(connection)
            except asyncio.CancelledError:
                # No ROLLBACK over a connection that may be busy or dead; it is closed, which ends the transaction.
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()

    async def close(self) -> None:
        """Close every connection, waiting no longer than a statement may take."""
        try:
            await asyncio.wait_for(self._pool.close(), STATEMENT_LIMIT_S)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def _connection(self, limit_s: float) -> AsyncGenerator[Any, None]:
        """Hands connections out in the order of asking; asyncpg's own pool is last in, first out."""
        try:
            async with asyncio.timeout(limit_s), self._turns:
                connection = await self._pool.acquire()
                try:
                    yield connection
                except (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError):
                    # The last is how asyncpg tells of a connection that the server has given up, but not closed yet.
                    connection.terminate()
                    raise
                finally:
                    await self._pool.release(connection)
        except _UNSTORABLE as error:
            raise UnstorableValue(type(error).__name__) from None
        except _AWAY as error:
            raise self._unavailable(error) from None

    def _counted(self, connection: Any) -> Transaction:
        return _Counted(connection, self._statements)

    def _unavailable(self, error: BaseException) -> DatabaseUnavailable:
        _log.warning("PostgreSQL is away", address=self.address, error=_reason(error))
        return DatabaseUnavailable(f"PostgreSQL at {self.address}: {_reason(error)}")


class _Counted:
    """A connection that counts and times its statements."""

    __slots__ = ("_connection", "_statements")

    def __init__(self, connection: Any, statements: QueryMetrics) -> None:
        self._connection = connection
        self._statements = statements

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        return await self._timed(query, self._connection.fetch(query, *arguments))

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        return await self._timed(query, self._connection.fetchrow(query, *arguments))

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        if limit_s is not None:
            await self._allow(limit_s)
        return await self._timed(query, self._connection.execute(query, *arguments, timeout=limit_s))

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None, None]:
        try:
            async with self._connection.transaction():
                yield
        except _UNSTORABLE as error:
            raise UnstorableValue(type(error).__name__) from None
        except _AWAY as error:
            raise DatabaseUnavailable(_reason(error)) from None

    async def _timed(self, query: str, answered: Awaitable[T]) -> T:
        with self._statements.of(query).time():
            try:
                return await answered
            except asyncpg.LockNotAvailableError as error:
                raise LockTimeout(str(error)) from None

    async def _allow(self, limit_s: float) -> None:
        """Have the server, where a role has limits of its own, wait as long; until the transaction ends."""
        limit_ms = round(limit_s * 1000)
        await self._connection.execute(f"SET LOCAL statement_timeout = {limit_ms}; SET LOCAL lock_timeout = {limit_ms}")


@asynccontextmanager
async def database(
    url: str,
    *,
    size: int,
    statement_cache: int,
    patience_s: float = 10.0,
    registry: CollectorRegistry | None = None,
) -> AsyncGenerator[Database, None]:
    """Connects, trying for `patience_s` while the server starts, and closes at the end; counts in `registry`.

    Raises `DatabaseUnavailable` with the address and what to do about it.
    """
    address = address_of(url)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    pool = None
    while pool is None:
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=min(size, KEPT_OPEN),
                max_size=size,
                timeout=STATEMENT_LIMIT_S,
                command_timeout=STATEMENT_LIMIT_S,
                statement_cache_size=statement_cache,
                reset=_keep,
            )
        except _AWAY as error:
            if loop.time() > give_up:
                raise DatabaseUnavailable(
                    f"PostgreSQL at {address} was tried for {patience_s:.0f} s: {_reason(error)}. "
                    "Start it, or correct the database URL."
                ) from None
            await asyncio.sleep(0.25)
    opened = Database(pool, address, size, QueryMetrics(registry))
    try:
        yield opened
    finally:
        await opened.close()


async def retry_until_available(work: Callable[[], Awaitable[T]], patience_s: float = 10.0) -> T:
    """What `work()` gives, tried for `patience_s` while the server does not answer: for what a start cannot do without.

    Raises `DatabaseUnavailable` in the end.
    """
    give_up = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            return await work()
        except DatabaseUnavailable:
            if asyncio.get_running_loop().time() > give_up:
                raise
            await asyncio.sleep(0.25)


def address_of(url: str) -> str:
    """Host and port of a database URL, or the socket's folder; never the user or the password.

    Raises `SettingsError` for what cannot be read as a URL.
    """
    parts = split_url(url, "the database URL")
    socket = parse_qs(parts.query).get("host")
    return socket[0] if socket else f"{parts.hostname or 'localhost'}:{parts.port or 5432}"


async def _keep(_connection: object) -> None:
    """In place of asyncpg's reset on release, a round trip that we have no use for: no session state is ever set."""


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
