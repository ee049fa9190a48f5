"""Run a command with a client, and report its errors as those of the command."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pollgate.cli.error_messages import Target, cli_error
from pollgate.client import ClientError
from pollgate.client.transport import HttpClient

C = TypeVar("C", bound=HttpClient)
T = TypeVar("T")


def run_with_client(
    client: Callable[[str, str], C], credential: str, target: Target, use: Callable[[C], Awaitable[T]]
) -> T:
    """Return what `use` returns for a client of the target, at the URL from the environment. Raise `CliError`."""

    async def connect() -> T:
        async with client(os.environ.get(target.variable) or target.example, credential) as opened:
            return await use(opened)

    try:
        return asyncio.run(connect())
    except ClientError as error:
        raise cli_error(error, target) from None
