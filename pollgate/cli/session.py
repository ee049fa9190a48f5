"""What the commands share that manage a running authority: where it is, the admin key, and their common options."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, TypeVar

from cyclopts import App, Parameter

from pollgate.cli.credentials import Credential
from pollgate.cli.error_messages import Target, error_message
from pollgate.cli.errors import CliError
from pollgate.client import AuthorityClient, ClientError

AUTHORITY: Final = Target("token authority", "TOKEN_AUTHORITY_URL", "http://127.0.0.1:8081", "admin key")
ADMIN_KEY: Final = Credential("admin key", "pga_…", "POLLGATE_ADMIN_KEY", made_by="pollgate admin create")
_WHERE_AND_AS_WHOM: Final = (
    "The admin key is read from POLLGATE_ADMIN_KEY, from the file that POLLGATE_ADMIN_KEY_FILE names, from admin.key "
    "in POLLGATE_DIR (.pollgate), or asked for. The authority is at TOKEN_AUTHORITY_URL (http://127.0.0.1:8081)."
)

T = TypeVar("T")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for scripts.")]
Wait = Annotated[bool, Parameter(help="With --no-wait, return at once and say by when it will be in force.")]
Many = Annotated[list[str], Parameter(negative="")]


def management(name: str, does: str) -> App:
    """A group of commands that manage a running authority."""
    return group(name, f"{does}\n\n{_WHERE_AND_AS_WHOM}")


def group(name: str, told: str) -> App:
    """A group of commands whose help is written as plain text."""
    return App(name=name, help=told, help_format="plaintext", default_parameter=Parameter(show_default=False))


def call(use: Callable[[AuthorityClient], Awaitable[T]], options: Mapping[str, str] = {}) -> T:
    """Return what `use` returns for a client of the authority. Raise `CliError`.

    `options` maps JSON pointers and query parameters of the request to the options that set them.
    """
    # Before the loop, whose signal handler would keep Ctrl-C from a prompt.
    admin_key = ADMIN_KEY.read(Path(os.environ.get("POLLGATE_DIR", ".pollgate")) / "admin.key")

    target = AUTHORITY._replace(options=options)

    async def connect() -> T:
        url = os.environ.get(AUTHORITY.variable) or AUTHORITY.example
        async with AuthorityClient(url, admin_key) as authority:
            return await use(authority)

    try:
        return asyncio.run(connect())
    except ClientError as error:
        raise CliError(error_message(error, target)) from None


def gather(use: Callable[[AuthorityClient], AsyncIterator[T]]) -> list[T]:
    """Return all that `use` yields for a client of the authority. Raise `CliError`."""

    async def gathered(authority: AuthorityClient) -> list[T]:
        return [item async for item in use(authority)]

    return call(gathered)
