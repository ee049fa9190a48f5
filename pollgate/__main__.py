"""The `pollgate` command."""

import asyncio
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from pollgate import admin_keys, audit, keys, polls, services, sites, tokens
from pollgate.misuse import told
from pollgate.polls_call import require_no_token
from pollgate.printed import plain
from pollgate.sentence import Sentence

app = App(name="pollgate", help="Polls over HTTP, behind scoped access tokens that die at once.", version="0.1.0")
for group in (polls.app, tokens.app, sites.app, admin_keys.app, services.app, audit.app, keys.app):
    app.command(group)


@app.command
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
    from pollgate.up import Ports, run_stack  # noqa: PLC0415

    asyncio.run(run_stack(folder.resolve(), Ports(polls=polls_port, token_authority=token_authority_port)))


@app.command
def migrate() -> None:
    """Bring both services' schemas up to this release; safe to run several times at once.

    Reads DATABASE_ADMIN_URL, TOKEN_AUTHORITY_DATABASE_URL and POLLS_DATABASE_URL, each also as NAME_FILE. The first
    is of a role that may create roles; of the other two, the passwords become those of the services' roles.
    """
    # This imports the client of PostgreSQL, which no other command needs.
    from pollgate.migrate import migrate_from_environment  # noqa: PLC0415

    for line in asyncio.run(migrate_from_environment()):
        print(line)


@app.command
def serve(service: Literal["token-authority", "polls"], /) -> None:
    """Run one service in the foreground until SIGTERM, with settings from the environment.

    `python -m services.polls --help` and `python -m services.token_authority --help` list them.
    """
    module = f"services.{service.replace('-', '_')}"
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - our own module in our own interpreter


@app.command
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
    from pollgate.secrets import write_secret_files  # noqa: PLC0415

    for file in write_secret_files(folder, postgres=postgres, redis=redis, database=database):
        print(f"wrote {file}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; a known fault ends in one sentence on standard error and status 1, wrong usage in status 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _print_whatever_comes()
    try:
        _require_text(words)
        if words[:1] == [polls.app.name[0]]:
            require_no_token(words)
        app(words, exit_on_error=False, print_error=False)
    except Sentence as fault:
        _end(f"pollgate: {fault}", 1)
    except CycloptsError as misuse:
        _end(f"pollgate: {told(misuse)} See --help.", 2)
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python is not to complain of that when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_whatever_comes() -> None:
    """A terminal that cannot show a character shows its number, in place of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _require_text(words: Sequence[str]) -> None:
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        raise Sentence("an argument is not text in UTF-8") from None


def _end(sentence: str, status: int) -> NoReturn:
    print(plain(sentence), file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
