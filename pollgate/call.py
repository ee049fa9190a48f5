"""What the commands share that manage a running authority: where it is, the admin key, and JSON for scripts."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from getpass import getpass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from cyclopts import Parameter

from pollgate.client import AuthorityClient
from pollgate.sentence import Sentence

WHERE_AND_AS_WHOM: Final = (
    "The admin key is read from POLLGATE_ADMIN_KEY, from the file that POLLGATE_ADMIN_KEY_FILE names, from admin.key "
    "in POLLGATE_DIR (.pollgate), or asked for. The authority is at TOKEN_AUTHORITY_URL (http://127.0.0.1:8081)."
)

T = TypeVar("T")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for scripts.")]


def call(use: Callable[[AuthorityClient], Awaitable[T]]) -> T:
    """What `use` gives with a client of the authority. Raises `Sentence`."""

    async def connected() -> T:
        url = os.environ.get("TOKEN_AUTHORITY_URL", "http://127.0.0.1:8081")
        async with AuthorityClient(url, read_admin_key()) as authority:
            return await use(authority)

    return asyncio.run(connected())


def read_admin_key() -> str:
    """The admin key from the environment, a file or a prompt. Raises `Sentence`."""
    key = os.environ.get("POLLGATE_ADMIN_KEY")
    if key:
        return key.strip()
    named = os.environ.get("POLLGATE_ADMIN_KEY_FILE")
    file = Path(named) if named else Path(os.environ.get("POLLGATE_DIR", ".pollgate")) / "admin.key"
    try:
        if named or file.exists():
            return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Sentence(f"cannot read the admin key: {error.strerror}: {file}") from None
    if not sys.stdin.isatty():
        raise Sentence("no admin key: set POLLGATE_ADMIN_KEY or POLLGATE_ADMIN_KEY_FILE")
    return getpass("Admin key: ").strip()


def print_json(value: object) -> None:
    """Indented, as people read it too."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
