"""`pollgate up`, `migrate`, `serve` and `secrets`: run the stack, or one part of it.

Their imports stand in the functions: the command line is also installed without the packages of the services.
"""

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pollgate.cli.errors import CliError


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


def serve(service: Literal["token-authority", "polls"], /) -> None:
    """Run one service in the foreground until SIGTERM, with settings from the environment.

    `python -m services.polls --help` and `python -m services.token_authority --help` list the settings.
    """
    if find_spec("asyncpg") is None:
        raise CliError(_describe_install("server"))
    module = f"services.{service.replace('-', '_')}"
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - our own module in our own interpreter


def secrets(
    folder: Path, /, *, postgres: str = "postgres:5432", redis: str = "redis:6379", database: str = "pollgate"
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
    """
    with require_extras("server"):
        from pollgate.stack.secrets import write_secret_files  # noqa: PLC0415

    for file in write_secret_files(folder, postgres=postgres, redis=redis, database=database):
        print(f"wrote {file}")


@contextmanager
def require_extras(extras: str) -> Generator[None, None, None]:
    """Raise `CliError` where an import in the block fails because these extras are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("pollgate", "services", "shared"):
            raise
        raise CliError(_describe_install(extras)) from None


def _describe_install(extras: str) -> str:
    return f"this command needs more packages; run: pip install 'pollgate[cli,{extras}]'"
