"""What the commands share that manage a running authority: where it is, the admin key, and their common options."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

from cyclopts import App, Parameter

from pollgate.cli.credentials import Credential
from pollgate.client.authority import AuthorityClient

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


def call(use: Callable[[AuthorityClient], Awaitable[T]]) -> T:
    """What `use` gives with a client of the authority. Raises `Sentence`."""
    # Before the loop, whose signal handler would keep Ctrl-C from a prompt.
    admin_key = ADMIN_KEY.read(Path(os.environ.get("POLLGATE_DIR", ".pollgate")) / "admin.key")

    async def connected() -> T:
        url = os.environ.get("TOKEN_AUTHORITY_URL", "http://127.0.0.1:8081")
        async with AuthorityClient(url, admin_key) as authority:
            return await use(authority)

    return asyncio.run(connected())


def gather(use: Callable[[AuthorityClient], AsyncIterator[T]]) -> list[T]:
    """Everything that `use` gives with a client of the authority. Raises `Sentence`."""

    async def gathered(authority: AuthorityClient) -> list[T]:
        return [item async for item in use(authority)]

    return call(gathered)
