"""Repeat a request for a secret whose response was lost, under its Idempotency-Key."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, TypeVar

from cyclopts import Parameter

from pollgate.cli.authority_session import AUTHORITY
from pollgate.cli.error_messages import error_message
from pollgate.cli.errors import CliError
from pollgate.client import OutcomeUnknown

Key = Annotated[
    str | None,
    Parameter(help="Idempotency-Key, to repeat a request whose response was lost; random by default."),
]
T = TypeVar("T")


def new_key(given: str | None) -> str:
    """Return the key that is given, or a random one."""
    return secrets.token_hex(16) if given is None else given


async def send_with_key(send: Callable[[str], Awaitable[T]], given: str | None) -> T:
    """Return what `send` returns for the key that is given, or for a random one. Raise `CliError` as `repeat_once`."""
    key = new_key(given)
    return await repeat_once(lambda: send(key), f"repeat the command with --key {key}, which returns a new secret")


async def repeat_once(send: Callable[[], Awaitable[T]], advice: str) -> T:
    """Return what `send` returns, again after a lost response. Raise `CliError` with the advice after a second one."""
    with suppress(OutcomeUnknown):
        return await send()
    try:
        return await send()
    except OutcomeUnknown as error:
        raise CliError(error_message(error, AUTHORITY, advice)) from None
