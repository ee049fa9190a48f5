"""Run commands against a token authority, with the URL and the admin key from the environment."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from cyclopts import App

from pollgate.cli.client_session import run_with_client
from pollgate.cli.credentials import Credential
from pollgate.cli.error_messages import Target
from pollgate.cli.options import command_group
from pollgate.client import AuthorityClient

AUTHORITY: Final = Target("token authority", "TOKEN_AUTHORITY_URL", "http://127.0.0.1:8081", "admin key")
ADMIN_KEY: Final = Credential("admin key", "pga_…", "POLLGATE_ADMIN_KEY", created_by="pollgate admin create")
_CONNECTION_HELP: Final = (
    "The admin key is read from POLLGATE_ADMIN_KEY, from the file named by POLLGATE_ADMIN_KEY_FILE, from admin.key in "
    "POLLGATE_DIR (.pollgate), or from a prompt. The URL of the token authority is read from TOKEN_AUTHORITY_URL "
    "(http://127.0.0.1:8081)."
)

T = TypeVar("T")


def authority_group(name: str, summary: str) -> App:
    """Return an empty group of commands that use the management API."""
    return command_group(name, f"{summary}\n\n{_CONNECTION_HELP}")


def run_with_authority(use: Callable[[AuthorityClient], Awaitable[T]], options: Mapping[str, str] = {}) -> T:
    """Return what `use` returns for a client of the authority. Raise `CliError`.

    `options` maps JSON pointers and query parameters to options, as in `Target`.
    """
    # Read before the event loop runs: its signal handler would keep Ctrl-C from a prompt.
    admin_key = ADMIN_KEY.read(Path(os.environ.get("POLLGATE_DIR", ".pollgate")) / "admin.key")
    return run_with_client(AuthorityClient, admin_key, AUTHORITY._replace(options=options), use)


def collect_from_authority(
    use: Callable[[AuthorityClient], AsyncIterator[T]], options: Mapping[str, str] = {}
) -> list[T]:
    """Return all that `use` yields for a client of the authority. Raise `CliError`."""

    async def collect(authority: AuthorityClient) -> list[T]:
        return [item async for item in use(authority)]

    return run_with_authority(collect, options)
