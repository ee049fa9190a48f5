"""`pollgate up`, `migrate`, `serve` and `secrets`: run the stack, or one part of it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def up(
    *,
    polls_port: Annotated[int, Parameter(env_var="POLLS_PORT")] = 8080,
    token_authority_port: Annotated[int, Parameter(env_var="TOKEN_AUTHORITY_PORT")] = 8081,
    folder: Annotated[Path, Parameter(name="--dir", env_var="POLLGATE_DIR")] = Path(".pollgate"),
) -> None:
    """Run the whole stack on this machine until Ctrl-C: PostgreSQL, Redis, token authority and polls.

    Parameters
    ----------
    polls_port
        Where polls listens on 127.0.0.1.
    token_authority_port
        Where the token authority listens on 127.0.0.1.
    folder
        Holds the data, the admin key in `admin.key` and the logs.
    """
    # Here alone are the embedded servers needed, which an image of the services does not have.
    from pollgate.stack.up import Ports, run_stack  # noqa: PLC0415

    asyncio.run(run_stack(folder.resolve(), Ports(polls=polls_port, token_authority=token_authority_port)))


def migrate() -> None:
    """Bring both services' schemas up to this release; safe to run several times at once.

    Reads DATABASE_ADMIN_URL, TOKEN_AUTHORITY_DATABASE_URL and POLLS_DATABASE_URL, each also as NAME_FILE. The first
    is of a role that may create roles; of the other two, the passwords become those of the services' roles.
    """
    # This imports the client of PostgreSQL, which no other command needs.
    from pollgate.stack.migrate import migrate_from_environment  # noqa: PLC0415

    for line in asyncio.run(migrate_from_environment()):
        print(line)


def serve(service: Literal["token-authority", "polls"], /) -> None:
    """Run one service in the foreground until SIGTERM, with settings from the environment.

    `python -m services.polls --help` and `python -m services.token_authority --help` list them.
    """
    module = f"services.{service.replace('-', '_')}"
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - our own module in our own interpreter


def secrets(
    folder: Path, /, *, postgres: str = "postgres:5432", redis: str = "redis:6379", database: str = "pollgate"
) -> None:
    """Make the stack's secrets where there are none yet: a folder of files for each service.

    Parameters
    ----------
    folder
        Gets the folders postgres, redis, migrate, token-authority and polls.
    postgres
        Host and port of PostgreSQL, as the services reach it.
    redis
        Host and port of Redis, as the services reach it.
    database
        Name of the database.
    """
    # This imports the client of Redis, which no other command needs.
    from pollgate.stack.secrets import write_secret_files  # noqa: PLC0415

    for file in write_secret_files(folder, postgres=postgres, redis=redis, database=database):
        print(f"wrote {file}")
