"""Read the secret of a token from a prompt or standard input, never from the arguments, which the shell's history and
the process list show.
"""

import sys
from collections.abc import Sequence
from getpass import getpass
from typing import Annotated, Final

from cyclopts import Parameter

from pollgate.cli.authority_session import run_with_authority
from pollgate.cli.errors import CliError, UsageError
from shared.contract.presented_secret import trim_secret

IdOrInput = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""The id of a token, or `-`."""
FROM_INPUT: Final = "-"
"""What stands in place of an id where a secret is read instead."""
_MAX_LENGTH: Final = 4096


def resolve_token_id(token_id: str) -> str:
    """Return the id; for `-` that of the token whose secret is entered or piped in. Raise `CliError`."""
    if token_id != FROM_INPUT:
        return token_id
    secret = read_token_secret()
    return run_with_authority(lambda authority: authority.find_token(secret), {"/token": "the access token"}).id


def require_ids(token_ids: Sequence[str]) -> None:
    """Raise `UsageError` for an option in place of an id: the parser takes any, because it takes `-`."""
    for token_id in token_ids:
        if token_id.startswith("-") and token_id != FROM_INPUT:
            raise UsageError(f"Unknown option: {token_id}. See --help.")


def read_token_secret() -> str:
    """Return the secret of an access token from a prompt, or from standard input in a pipe. Raise `CliError`."""
    try:
        text = getpass("Access token: ") if sys.stdin.isatty() else sys.stdin.read(_MAX_LENGTH)
    except (EOFError, UnicodeDecodeError):
        text = ""
    secret = trim_secret(text)
    if not secret:
        raise CliError("no access token: enter it at the prompt, or pass it on standard input")
    return secret
