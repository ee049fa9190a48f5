"""Refuse secrets in the arguments, which the shell's history and the process list show."""

from collections.abc import Sequence
from typing import Final

from pollgate.cli.errors import UsageError
from shared.contract.token import (
    ACCESS_TOKEN,
    ADMIN_KEY,
    CLIENT_SECRET,
    SECRET_NAMES,
    SECRET_PATTERN,
    VOTING_LINK,
)

_ADVICE: Final = {
    ACCESS_TOKEN: "`pollgate token find`, `pollgate token show -` and `pollgate token revoke -` read it from a prompt "
    "or a pipe. Others may have seen it: revoke or rotate it",
    ADMIN_KEY: "set POLLGATE_ADMIN_KEY, or POLLGATE_ADMIN_KEY_FILE to a file that contains it. Others may have seen "
    "it: `pollgate admin rotate` replaces it",
    CLIENT_SECRET: "others may have seen it: `pollgate service rotate` replaces it",
    VOTING_LINK: "`pollgate poll links` shows the ids of links. Others may have seen it: "
    "`pollgate poll links --revoke` revokes it",
}
"""What to do, by the prefix of a secret."""

_POLL_ADVICE: Final = "set POLLGATE_TOKEN, or POLLGATE_TOKEN_FILE to a file that contains it"


def require_no_secret(arguments: Sequence[str]) -> None:
    """Raise `UsageError` for a secret on the command line, or an option that would take one. It is never repeated."""
    secret = next(filter(None, map(SECRET_PATTERN.search, arguments)), None)
    if secret is not None:
        prefix = secret[0].partition("_")[0]
        advice = _ADVICE[prefix]
        if arguments[0] == "poll" and prefix == ACCESS_TOKEN:
            advice = f"{_POLL_ADVICE}. Others may have seen it: rotate it"
        name = SECRET_NAMES[prefix]
        raise UsageError(f"{name} cannot be an argument, which the shell's history and the process list show: {advice}")
    if any(argument.partition("=")[0] == "--token" for argument in arguments):
        raise UsageError(f"a token cannot be an argument: {_POLL_ADVICE}")
