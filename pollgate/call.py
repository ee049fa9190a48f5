"""What the commands share that manage a running authority: where it is, the admin key, and their common options."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from getpass import getpass
from pathlib import Path
from typing import Annotated, Final, TypeVar

from cyclopts import App, Parameter

from pollgate.client import AuthorityClient
from pollgate.sentence import Sentence

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
    return App(
        name=name,
        help=f"{does}\n\n{_WHERE_AND_AS_WHOM}",
        help_format="plaintext",
        default_parameter=Parameter(show_default=False),
    )


def call(use: Callable[[AuthorityClient], Awaitable[T]]) -> T:
    """What `use` gives with a client of the authority. Raises `Sentence`."""

    admin_key = read_admin_key()  # before the loop, whose signal handler would keep Ctrl-C from a prompt

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


def read_admin_key() -> str:
    """The admin key from the environment, a file or a prompt. Raises `Sentence`."""
    key = os.environ.get("POLLGATE_ADMIN_KEY")
    if key:
        return _on_one_line(key)
    named = os.environ.get("POLLGATE_ADMIN_KEY_FILE")
    file = Path(named) if named else Path(os.environ.get("POLLGATE_DIR", ".pollgate")) / "admin.key"
    try:
        if named or file.exists():
            return _on_one_line(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Sentence(f"cannot read the admin key: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        raise Sentence(f"{file} does not hold an admin key, pga_…") from None
    missing = f"no admin key: set POLLGATE_ADMIN_KEY or POLLGATE_ADMIN_KEY_FILE; {file} is not there"
    if not sys.stdin.isatty():
        raise Sentence(missing)
    try:
        typed = getpass("Admin key: ")
    except EOFError:
        typed = ""
    if not typed.strip():
        raise Sentence(missing)
    return _on_one_line(typed)


def _on_one_line(text: str) -> str:
    key = text.strip()
    if not key.isascii() or not key.isprintable():
        raise Sentence("that is not an admin key, pga_…: check POLLGATE_ADMIN_KEY and POLLGATE_ADMIN_KEY_FILE")
    return key
