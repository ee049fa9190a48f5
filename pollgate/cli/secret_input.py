"""Read the secret of a token from a prompt or standard input, never from the arguments, which the shell's history and
the process list show.
"""

import sys
from getpass import getpass

from pollgate.cli.errors import CliError


def read_token_secret() -> str:
    """Return the secret of an access token from a prompt, or from standard input in a pipe. Raise `CliError`."""
    try:
        text = getpass("Access token: ") if sys.stdin.isatty() else sys.stdin.read(_MAX_LENGTH)
    except (EOFError, UnicodeDecodeError):
        text = ""
    secret = text.strip()
    if not secret:
        raise CliError("no access token: enter it at the prompt, or pass it on standard input")
    return secret


_MAX_LENGTH = 4096
