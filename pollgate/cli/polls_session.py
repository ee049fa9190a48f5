"""What the commands share that use the polls API: where it is, the token, and their common options."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from cyclopts import App

from pollgate.cli.credentials import Credential
from pollgate.cli.error_messages import Target, error_message
from pollgate.cli.errors import CliError
from pollgate.cli.session import group
from pollgate.client import ClientError, PollsClient
from shared.contract.token import SECRET_PATTERN

TOKEN: Final = Credential("access token", "pgt_…", "POLLGATE_TOKEN", made_by="pollgate token create")
_WHERE_AND_AS_WHOM: Final = (
    "The access token is read from POLLGATE_TOKEN, from the file that POLLGATE_TOKEN_FILE names, or asked for. Polls "
    "is at POLLS_URL (http://127.0.0.1:8080); where that cannot be reached from here, at POLLS_API_URL."
)
POLLS: Final = Target("polls service", "POLLS_URL", "http://127.0.0.1:8080", "access token")
_INSIDE: Final = POLLS._replace(variable="POLLS_API_URL")

T = TypeVar("T")


def integration(name: str, does: str) -> App:
    """A group of commands that use the polls API."""
    return group(name, f"{does}\n\n{_WHERE_AND_AS_WHOM}")


def call_polls(use: Callable[[PollsClient], Awaitable[T]], options: Mapping[str, str] = {}) -> T:
    """Return what `use` returns for a client of polls. Raise `CliError`.

    `options` maps JSON pointers and query parameters of the request to the options that set them.
    """
    token = TOKEN.read()  # before the loop, whose signal handler would keep Ctrl-C from a prompt
    target = polls_target()._replace(options=options)

    async def connect() -> T:
        async with PollsClient(os.environ.get(target.variable) or target.example, token) as polls:
            return await use(polls)

    try:
        return asyncio.run(connect())
    except ClientError as error:
        raise CliError(error_message(error, target)) from None


def gather_polls(use: Callable[[PollsClient], AsyncIterator[T]], options: Mapping[str, str] = {}) -> list[T]:
    """Return all that `use` yields for a client of polls. Raise `CliError`."""

    async def gathered(polls: PollsClient) -> list[T]:
        return [item async for item in use(polls)]

    return call_polls(gathered, options)


def polls_target() -> Target:
    """Return the polls service as the environment names it."""
    return _INSIDE if os.environ.get(_INSIDE.variable) else POLLS


def require_no_token(arguments: Sequence[str]) -> None:
    """Raises `CliError` where a token stands on the command line, or an option that would take one."""
    is_there = any(SECRET_PATTERN.search(argument) for argument in arguments)
    if is_there or any(argument.partition("=")[0] == "--token" for argument in arguments):
        told = "it is in the shell's history and the list of processes now, so rotate it" if is_there else ""
        raise CliError(
            "no command takes a token as an argument: set POLLGATE_TOKEN, or POLLGATE_TOKEN_FILE to a file with it"
            + (f"; {told}" if told else "")
        )
