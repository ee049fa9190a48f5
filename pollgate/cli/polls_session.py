"""Run commands against a polls service, with the URL and the access token from the environment."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, TypeVar

from cyclopts import App

from pollgate.cli.client_session import run_with_client
from pollgate.cli.credentials import Credential
from pollgate.cli.error_messages import Target
from pollgate.cli.options import command_group
from pollgate.client import PollsClient

POLLS: Final = Target("polls service", "POLLS_URL", "http://127.0.0.1:8080", "access token")
_INTERNAL: Final = POLLS._replace(variable="POLLS_API_URL")
TOKEN: Final = Credential("access token", "pgt_…", "POLLGATE_TOKEN", created_by="pollgate token create")
_CONNECTION_HELP: Final = (
    "The access token is read from POLLGATE_TOKEN, from the file named by POLLGATE_TOKEN_FILE, or from a prompt. The "
    "URL of polls is read from POLLS_URL (http://127.0.0.1:8080); POLLS_API_URL takes precedence over it."
)

T = TypeVar("T")


def polls_group(name: str, summary: str) -> App:
    """Return an empty group of commands that use the polls API."""
    return command_group(name, f"{summary}\n\n{_CONNECTION_HELP}")


def run_with_polls(
    use: Callable[[PollsClient], Awaitable[T]], options: Mapping[str, str] = {}, *, has_file: bool = False
) -> T:
    """Return what `use` returns for a client of polls. Raise `CliError`.

    `options` and `has_file` say how to name what is wrong, as in `Target`.
    """
    # Read before the event loop runs: its signal handler would keep Ctrl-C from a prompt.
    token = TOKEN.read()
    return run_with_client(PollsClient, token, polls_target()._replace(options=options, has_file=has_file), use)


def collect_from_polls(use: Callable[[PollsClient], AsyncIterator[T]], options: Mapping[str, str] = {}) -> list[T]:
    """Return all that `use` yields for a client of polls. Raise `CliError`. `options` are as in `Target`."""

    async def collect(polls: PollsClient) -> list[T]:
        return [item async for item in use(polls)]

    return run_with_polls(collect, options)


def polls_target() -> Target:
    """Return the polls service, with the variable that has its URL."""
    return _INTERNAL if os.environ.get(_INTERNAL.variable) else POLLS
