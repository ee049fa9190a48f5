"""Run commands against a token authority as the holder of an access token, without an admin key."""

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pollgate.cli.authority_session import AUTHORITY
from pollgate.cli.client_session import run_with_client
from pollgate.cli.polls_session import TOKEN
from pollgate.cli.secret_input import read_token_secret
from pollgate.client import TokenHolderClient

T = TypeVar("T")


def run_as_holder(use: Callable[[TokenHolderClient], Awaitable[T]]) -> T:
    """Return what `use` returns for a client with the access token of the user. Raise `CliError`.

    The token is read from the environment, from a prompt, or from standard input in a pipe.
    """
    is_in_environment = os.environ.get(TOKEN.variable) or os.environ.get(f"{TOKEN.variable}_FILE")
    token = TOKEN.read() if is_in_environment else read_token_secret()
    return run_with_client(TokenHolderClient, token, AUTHORITY._replace(credential=TOKEN.name), use)
