"""`pollgate up`, `migrate`, `wait-for-schema`, `serve` and `secrets`: run the stack, or one part of it.

Their imports stand in the functions: the command line is also installed without the packages of the services.
"""

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pollgate.cli.errors import CliError
from pollgate.cli.extras import describe_install, require_extras


def up(
    *,
    polls_port: Annotated[int, Parameter(env_var="POLLS_PORT")] = 8080,
    token_authority_port: Annotated[int, Parameter(env_var="TOKEN_AUTHORITY_PORT")] = 8081,
    folder: Annotated[Path, Parameter(name="--dir", env_var="POLLGATE_DIR")] = Path(".pollgate"),
) -> None:
    """Run PostgreSQL, Redis, the token authority and polls on this machine until Ctrl-C.

    Parameters
    ----------
    polls_port
        Port of polls on 127.0.0.1.
    token_authority_port
        Port of the token authority on 127.0.0.1.
    folder
        Folder for the data, the admin key (admin.key) and the logs.
    """
    with require_extras("server,embedded"):
        from pollgate.stack.up import Ports, run_stack  # noqa: PLC0415

    asyncio.run(run_stack(folder.resolve(), Ports(polls=polls_port, token_authority=token_authority_port)))


def migrate() -> None:
    """Migrate both services' schemas to this release. Concurrent runs are safe.

    Reads DATABASE_ADMIN_URL, TOKEN_AUTHORITY_DATABASE_URL and POLLS_DATABASE_URL, or files named by each with _FILE
    appended. The first is of a role that may create roles. The passwords of the other two become those of the
    services' roles.
    """
    with require_extras("server"):
        from pollgate.stack.migrate import migrate_from_environment  # noqa: PLC0415

    for line in asyncio.run(migrate_from_environment()):
        print(line)


def wait_for_schema(service: Literal["token-authority", "polls"], /, *, timeout: float = 600.0) -> None:
    """Wait until the schema of a service has every migration of this release. Another process runs the migration.

    Reads TOKEN_AUTHORITY_DATABASE_URL or POLLS_DATABASE_URL, or the file named by it with _FILE appended. For init
    containers.

    Parameters
    ----------
    timeout
        Seconds after which it ends with status 1.
    """
    with require_extras("server"):
        from pollgate.stack.migrate import wait_until_migrated  # noqa: PLC0415

    asyncio.run(wait_until_migrated(service, timeout, lambda reason: print(reason, flush=True)))


def serve(service: Literal["token-authority", "polls"], /) -> None:
    """Run one service in the foreground until SIGTERM, with settings from the environment.

    `python -m services.polls --help` and `python -m services.token_authority --help` list the settings.
    """
    if find_spec("asyncpg") is None:
        raise CliError(describe_install("server"))
    module = f"services.{service.replace('-', '_')}"
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - our own module in our own interpreter


def secrets(
    folder: Path,
    /,
    *,
    postgres: str = "postgres:5432",
    redis: str = "redis:6379",
    database: str = "pollgate",
    admin_key: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Create the stack's secrets, unless they exist: a folder of files for each service.

    Parameters
    ----------
    folder
        Folder in which the folders postgres, redis, migrate, token-authority and polls are created.
    postgres
        Host and port under which the services reach PostgreSQL.
    redis
        Host and port under which the services reach Redis.
    database
        Name of the database.
    admin_key
        Also create the first admin key, for ADMIN_KEY_FILE, so that all replicas of the token authority know it.
    """
    with require_extras("server"):
        from pollgate.stack.secrets import has_secrets, write_secret_files  # noqa: PLC0415

    are_kept = has_secrets(folder)
    files = write_secret_files(folder, postgres=postgres, redis=redis, database=database, with_admin_key=admin_key)
    for file in files:
        print(f"wrote {file}")
    if are_kept:
        print("The secrets are those of before; none was changed.")
