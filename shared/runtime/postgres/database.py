"""A pool of PostgreSQL connections with time limits, first-come-first-served waiting, and one error for outages.

No session state outlives a statement or a transaction, so a transaction pooler may be used.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from shared.runtime.postgres.connector import Connector, reason_of
from shared.runtime.postgres.query_metrics import QueryMetrics, name_of
from shared.runtime.process.environment import RotatableText
from shared.runtime.process.metrics import Readings
from shared.runtime.process.outage import Unavailable
from shared.runtime.traces.current import current_traces

STATEMENT_LIMIT_S: Final = 1.0
CALL_LIMIT_S: Final = 1.5
"""For one statement, including the wait for a connection."""
TRANSACTION_LIMIT_S: Final = 2.0
MAX_IDLE_S: Final = 300.0
"""A connection that was idle for longer is not used: a firewall may have dropped it without a sign."""
INITIAL_CONNECTIONS: Final = 4
"""Connections that are opened at the start, so that the first requests need not wait for them."""

_log = structlog.get_logger()

Row = Mapping[str, Any]
T = TypeVar("T")


class DatabaseUnavailable(Unavailable):
    """PostgreSQL did not respond, or not in time. The message has the address and the reason."""


class LockTimeout(DatabaseUnavailable):
    """Another transaction held a lock for longer than this one waits."""


class StatementTimeout(DatabaseUnavailable):
    """PostgreSQL canceled a statement that took longer than it may. The message has the statement's name."""


class UnstorableValue(Exception):
    """PostgreSQL cannot store a value, such as text with a NUL character."""


class Connection(Protocol):
    """Runs one statement, in a transaction or on its own. Storage functions take one as an argument."""

    async def fetch(self, query: str, *arguments: Any) -> list[Row]: ...
    async def fetchrow(self, query: str, *arguments: Any) -> Row | None: ...
    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str: ...


class Transaction(Connection, Protocol):
    """An open transaction. If the block of a savepoint raises, only its changes are rolled back.

    `limit_statements` replaces the time limit of each later statement, and of its wait for a lock.
    """

    def savepoint(self) -> AbstractAsyncContextManager[None]: ...
    async def limit_statements(self, limit_s: float) -> None: ...


_OUTAGES: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InternalServerError,
    asyncpg.PostgresSystemError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidTransactionStateError,  # read-only, or ended by the server because it was idle
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSQLStatementNameError,  # a pooler has begun to lose prepared statements
    asyncpg.DuplicatePreparedStatementError,
)
_WRONG_SERVERS: Final = (
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary that was demoted
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""After these errors, all connections are replaced: they may lead to the same server."""


_UNSTORABLE: Final = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,  # longer than an index entry may be
)


class Database:
    """A pool of connections to one database as one role."""

    def __init__(self, pool: "asyncpg.Pool", connector: Connector, size: int, metrics: QueryMetrics) -> None:
        self._pool = pool
        self._connector = connector
        self.metrics = metrics
        self.size = size
        self.places = asyncio.Semaphore(size)
        self.waiting = 0
        self._contended = asyncio.Semaphore(max(1, size // 2))
        self._idle: list[_Idle] = []
        self.generation = 0

    @property
    def address(self) -> str:
        """The addresses of the servers, for messages."""
        return self._connector.address

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        """Return the rows of one statement. Raise `DatabaseUnavailable`, `UnstorableValue`."""
        async with self._hold() as connection:
            return await connection.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        """Return the first row of one statement. Raise `DatabaseUnavailable`, `UnstorableValue`."""
        async with self._hold() as connection:
            return await connection.fetchrow(query, *arguments)

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        """Run one statement and return its command tag. `limit_s` replaces the usual time limit.

        Raise `DatabaseUnavailable`, `UnstorableValue`.
        """
        if limit_s is not None:
            async with self.transaction(limit_s) as transaction:
                return await transaction.execute(query, *arguments, limit_s=limit_s)
        async with self._hold() as connection:
            return await connection.execute(query, *arguments)

    async def ping(self) -> None:
        """Raise `DatabaseUnavailable` if the server does not respond."""
        await self.execute("-- ping: whether the server responds\nSELECT 1")

    @asynccontextmanager
    async def transaction(self, limit_s: float | None = None) -> AsyncGenerator[Transaction, None]:
        """Run the block in a transaction. Commit at the end; roll back if the block raises.

        `limit_s` replaces the usual time limit of the block, but not that of its statements. The isolation level is
        READ COMMITTED.
        """
        hold = self._hold(limit_s or TRANSACTION_LIMIT_S)
        async with hold as connection:
            transaction = hold.connection.transaction(isolation="read_committed")
            try:
                await transaction.start()
            except BaseException:
                _terminate(hold.connection)  # asyncpg takes the transaction for started
                raise
            try:
                yield connection
            except asyncio.CancelledError:
                # No ROLLBACK: the connection may be busy or dead. It is closed, which ends the transaction.
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()

    @asynccontextmanager
    async def contended_transaction(self, limit_s: float | None = None) -> AsyncGenerator[Transaction, None]:
        """Do what `transaction` does, for transactions that wait for one lock.

        They hold at most half of the connections, so that others need not wait until the lock is free.
        """
        try:
            async with asyncio.timeout(limit_s or TRANSACTION_LIMIT_S):
                await self._contended.acquire()
        except TimeoutError as error:
            raise self.unavailable(error) from None
        try:
            async with self.transaction(limit_s) as transaction:
                yield transaction
        finally:
            self._contended.release()

    async def close(self) -> None:
        """Close every connection, after at most `STATEMENT_LIMIT_S`."""
        while self._idle:
            await self._pool.release(self._idle.pop().connection)
        try:
            await asyncio.wait_for(self._pool.close(), STATEMENT_LIMIT_S)
        except TimeoutError:
            self._pool.terminate()

    def _hold(self, limit_s: float | None = None) -> "_Hold":
        return _Hold(self, limit_s)

    async def take(self) -> Any:
        """Return the connection that was used last, or a new one.

        Connections stay out of asyncpg's pool while they are idle: to acquire and release one costs more than a
        statement.
        """
        while self._idle:
            connection, idle_since = self._idle.pop()
            if asyncio.get_running_loop().time() - idle_since > MAX_IDLE_S:
                _terminate(connection)
            if _is_open(connection):
                return connection
            await self._pool.release(connection)
        return await self._pool.acquire()

    async def put_back(self, connection: Any, generation: int) -> None:
        """Keep a connection for the next statement, if it is open, in no transaction and of the present generation.

        Close the one that has been idle for longest, if that is too long.
        """
        now = asyncio.get_running_loop().time()
        if generation != self.generation or (_is_open(connection) and connection.is_in_transaction()):
            _terminate(connection)
        if _is_open(connection):
            self._idle.append(_Idle(connection, now))
            if now - self._idle[0].since <= MAX_IDLE_S:
                return
            connection = self._idle.pop(0).connection
            _terminate(connection)
        await self._pool.release(connection)

    async def replace_connections(self) -> None:
        """Close the idle connections now, and those in use when they are put back."""
        self.generation += 1
        await self._pool.expire_connections()
        while self._idle:
            connection = self._idle.pop().connection
            _terminate(connection)
            await self._pool.release(connection)

    @property
    def in_use(self) -> int:
        """The connections that are held by a statement or a transaction."""
        return int(self._pool.get_size()) - int(self._pool.get_idle_size()) - len(self._idle)

    @property
    def may_wait(self) -> bool:
        """Whether the next statement may have to wait for a connection."""
        return self.places.locked() or not self._idle

    def unavailable(self, error: BaseException) -> DatabaseUnavailable:
        """Return the error for an outage, and log it."""
        _log.warning("PostgreSQL is unavailable", address=self.address, error=reason_of(error))
        return DatabaseUnavailable(f"PostgreSQL at {self.address}: {reason_of(error)}")


def _terminate(connection: Any) -> None:
    if _is_open(connection):
        connection.terminate()


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back, because it was closed
        return False


class _Hold:
    """A context manager that holds a connection. Waiters are served first come, first served, unlike asyncpg's.

    `limit_s` limits the time of the block. Without it, the block is one statement, which asyncpg limits by itself:
    then a limit is only set if the statement has to wait for a connection.
    """

    __slots__ = ("_database", "_generation", "_limit_s", "_timeout", "connection", "is_wrong_server")

    def __init__(self, database: Database, limit_s: float | None) -> None:
        self._database = database
        self._limit_s = limit_s
        self._timeout: asyncio.Timeout | None = None
        self._generation = 0
        self.connection: Any = None
        self.is_wrong_server = False

    async def __aenter__(self) -> "_MeasuredConnection":
        database = self._database
        waits_since = time.perf_counter() if database.may_wait else None
        if self._limit_s is not None or waits_since is not None:
            self._timeout = asyncio.timeout(CALL_LIMIT_S if self._limit_s is None else self._limit_s)
            await self._timeout.__aenter__()
        try:
            if waits_since is None:
                await self._acquire()
            else:
                await self._acquire_waiting(waits_since)
        except BaseException as error:
            await self._end(type(error), error, None)
            raise
        return _MeasuredConnection(self, database.metrics)

    async def _acquire(self) -> None:
        database = self._database
        await database.places.acquire()
        try:
            self.connection = await database.take()
            self._generation = database.generation
        except BaseException:
            database.places.release()
            raise

    async def _acquire_waiting(self, since: float) -> None:
        database = self._database
        database.waiting += 1
        try:
            await self._acquire()
        finally:
            database.waiting -= 1
            database.metrics.wait_s.observe(time.perf_counter() - since)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # asyncpg raises InternalClientError if the server has abandoned a connection without closing it.
            if isinstance(error, (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError)):
                _terminate(self.connection)
            if self.is_wrong_server:
                await self._database.replace_connections()
            await self._database.put_back(self.connection, self._generation)
        except BaseException as failure:
            await self._end(type(failure), failure, trace)
            raise
        finally:
            self._database.places.release()
        await self._end(kind, error, trace)

    async def _end(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the time limit, and raise the error of this module in place of one of asyncpg's."""
        if self._timeout is not None:
            try:
                await self._timeout.__aexit__(kind, error, trace)
            except TimeoutError as timeout:
                error = timeout
        if isinstance(error, _UNSTORABLE):
            raise UnstorableValue(type(error).__name__) from None
        if isinstance(error, _OUTAGES):
            raise self._database.unavailable(error) from None


class _Idle(NamedTuple):
    """A connection that is not in use, and since when, by the event loop's clock."""

    connection: Any
    since: float


class _MeasuredConnection:
    """A connection that measures its statements."""

    __slots__ = ("_connection", "_hold", "_limit_s", "_metrics")

    def __init__(self, hold: _Hold, metrics: QueryMetrics) -> None:
        self._connection = hold.connection
        self._hold = hold
        self._metrics = metrics
        self._limit_s: float | None = None

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        return await self._time(query, self._connection.fetch(query, *arguments, timeout=self._limit_s))

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        return await self._time(query, self._connection.fetchrow(query, *arguments, timeout=self._limit_s))

    async def execute(self, query: str, *arguments: Any, limit_s: float | None = None) -> str:
        if limit_s is not None:
            await self.limit_statements(limit_s)
        return await self._time(query, self._connection.execute(query, *arguments, timeout=self._limit_s))

    async def limit_statements(self, limit_s: float) -> None:
        """Replace the time limits of statements, the role's on the server too, until the transaction ends."""
        limit_ms = round(limit_s * 1000)
        await self._connection.execute(f"SET LOCAL statement_timeout = {limit_ms}; SET LOCAL lock_timeout = {limit_ms}")
        self._limit_s = limit_s

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None, None]:
        try:
            async with self._connection.transaction():
                yield
        except _UNSTORABLE as error:
            raise UnstorableValue(type(error).__name__) from None
        except _OUTAGES as error:
            raise DatabaseUnavailable(reason_of(error)) from None

    async def _time(self, query: str, result: Awaitable[T]) -> T:
        started = time.perf_counter()
        try:
            return await result
        except asyncpg.LockNotAvailableError as error:
            raise LockTimeout(str(error)) from None
        except asyncpg.QueryCanceledError as error:
            name = name_of(query)
            _log.warning("a statement took longer than it may", statement=name, error=reason_of(error))
            raise StatementTimeout(f"{name}: {reason_of(error)}") from None
        except _WRONG_SERVERS:
            self._hold.is_wrong_server = True
            raise
        finally:
            self._metrics.of(query).observe(time.perf_counter() - started)


@asynccontextmanager
async def database(
    url: RotatableText | str,
    *,
    size: int,
    statement_cache: int,
    timeout_s: float = 10.0,
    registry: CollectorRegistry | None = None,
) -> AsyncGenerator[Database, None]:
    """Open a pool of up to `size` connections during the block. Retry for `timeout_s` while the server starts.

    `statement_cache` is the number of prepared statements per connection. Metrics are registered in `registry`.
    Raise `DatabaseUnavailable` with the addresses and what to do, or `SettingsError` if `url` is not a database URL.
    """
    connector = Connector(
        url, limit_s=STATEMENT_LIMIT_S, command_limit_s=STATEMENT_LIMIT_S, statement_cache=statement_cache
    )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    pool = None
    while pool is None:
        try:
            pool = await asyncpg.create_pool(
                connect=connector.connect,
                min_size=0,
                init_size=min(size, INITIAL_CONNECTIONS),
                max_size=size,
                max_inactive_connection_lifetime=0,  # `Database` closes idle connections itself
                reset=_skip_reset,
                connection_class=current_traces().trace_statements(asyncpg.Connection),
            )
        except _OUTAGES as error:
            if loop.time() > deadline:
                raise DatabaseUnavailable(
                    f"cannot connect to PostgreSQL at {connector.address}, tried for {timeout_s:.0f} s: "
                    f"{reason_of(error)}. Start it, or correct {connector.setting}."
                ) from None
            await asyncio.sleep(0.25)
    opened = Database(pool, connector, size, QueryMetrics(registry))
    if registry is not None:
        _show_pool(registry, opened)
    try:
        yield opened
    finally:
        await opened.close()


def _show_pool(registry: CollectorRegistry, shown: Database) -> None:
    """Show how much of the pool is used, summed over the workers of a service."""
    readings = Readings(registry)
    readings.show("pollgate_database_connections_in_use", "Connections that are in use", lambda: shown.in_use)
    readings.show("pollgate_database_connections_limit", "Size of the pool of connections", lambda: shown.size)
    readings.show(
        "pollgate_database_connections_waiting",
        "Statements and transactions that wait for a connection",
        lambda: shown.waiting,
    )


async def retry_until_available(work: Callable[[], Awaitable[T]], timeout_s: float = 10.0) -> T:
    """Return the result of `work()`, which is retried for `timeout_s` while the server does not respond.

    Raise `DatabaseUnavailable` after that. For work without which a service cannot start.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            return await work()
        except DatabaseUnavailable:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.25)


async def _skip_reset(_connection: object) -> None:
    """Replace asyncpg's reset on release, which costs a round trip: no session state is ever set."""
