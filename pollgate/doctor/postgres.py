"""Examine PostgreSQL as one service sees it: version, clock, TLS, connections and migrations."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from pollgate.doctor.certificates import examine_certificate
from pollgate.doctor.clocks import Stopwatch, examine_clock
from pollgate.doctor.finding import Examination
from shared.runtime.postgres.database import Connection, Database, database
from shared.runtime.postgres.migrations import Schema

_WARNING_SHARE: Final = 0.8
_PROBLEM_SHARE: Final = 0.95
_CONNECT_LIMIT_S: Final = 2.0

_SELECT_SERVER: Final = """
    -- doctor_server: the version, the clock, TLS, and the connections of the server
    SELECT current_setting('server_version') AS version,
           extract(epoch FROM clock_timestamp())::float8 AS now,
           pg_is_in_recovery() AS is_standby,
           coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS uses_tls,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           current_setting('max_connections')::int AS max_connections,
           pg_database_size(current_database()) AS size,
           host(inet_server_addr()) AS address, inet_server_port() AS port
"""


@asynccontextmanager
async def open_database(url: str) -> AsyncGenerator[Database, None]:
    """Open one connection during the block. Raise `DatabaseUnavailable` with the address and the reason."""
    async with database(url, size=1, statement_cache=0, timeout_s=_CONNECT_LIMIT_S) as opened:
        yield opened


async def examine_server(examination: Examination, connection: Connection) -> None:
    """Add what is found about the server."""
    stopwatch = Stopwatch()
    row = await connection.fetchrow(_SELECT_SERVER)
    assert row is not None  # noqa: S101 - an aggregate always has a row
    size = f"{row['size'] / 2**20:,.0f} MiB"
    examination.judge(
        "server",
        f"PostgreSQL {row['version']}, database of {size}" + (", a read-only standby" if row["is_standby"] else ""),
        "connect to the primary: add target_session_attrs=read-write to the database URL",
        fails=row["is_standby"],
    )
    examine_clock(examination, stopwatch.difference_s(row["now"]))
    used = row["connections"] / row["max_connections"]
    examination.judge(
        "connections",
        f"{row['connections']} of {row['max_connections']}",
        "raise max_connections of PostgreSQL, lower DATABASE_POOL_SIZE, or find who else connects",
        warns=used >= _WARNING_SHARE,
        fails=used >= _PROBLEM_SHARE,
    )
    if row["uses_tls"] and row["address"]:
        await examine_certificate(examination, row["address"], row["port"], is_postgres=True)


async def examine_migrations(examination: Examination, connection: Connection, schema: Schema) -> None:
    """Add whether the schema is the one of this release."""
    rows = await connection.fetch(
        f"-- doctor_migrations: which migrations have been applied\nSELECT name FROM {schema.name}.schema_migrations"
    )
    applied, known = {row["name"] for row in rows}, schema.files().keys()
    if missing := known - applied:
        examination.fail("migrations", f"{min(missing)} is missing", "run `pollgate migrate`")
    elif newer := applied - known:
        examination.warn(
            "migrations",
            f"{max(newer)} is of a newer release than this command",
            "run the doctor of the newer release; older processes may run until the upgrade is complete",
        )
    else:
        examination.ok("migrations", f"{len(known)} applied, up to {max(known)[:4]}")
