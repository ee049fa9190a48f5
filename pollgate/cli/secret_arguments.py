"""Refuse secrets in the arguments, which the shell's history and the process list show."""

from collections.abc import Sequence
from typing import Final

from pollgate.cli.errors import UsageError
from shared.contract.token import SECRET_PATTERN

_ADVICE: Final = {
    "pgt_": (
        "an access token",
        "`pollgate token find`, `pollgate token show -` and `pollgate token revoke -` read it from a prompt or a "
        "pipe. Others may have seen it: revoke or rotate it",
    ),
    "pga_": (
        "an admin key",
        "set POLLGATE_ADMIN_KEY, or POLLGATE_ADMIN_KEY_FILE to a file that contains it. Others may have seen it: "
        "`pollgate admin rotate` replaces it",
    ),
    "pgs_": ("a service's secret", "others may have seen it: `pollgate service rotate` replaces it"),
}
"""By its prefix, what a secret is called, and what to do."""

_POLL_ADVICE: Final = "set POLLGATE_TOKEN, or POLLGATE_TOKEN_FILE to a file that contains it"


def require_no_secret(arguments: Sequence[str]) -> None:
    """Raise `UsageError` for a secret on the command line, or an option that would take one. It is never repeated."""
    secret = next(filter(None, map(SECRET_PATTERN.search, arguments)), None)
    if secret is not None:
        name, advice = _ADVICE[secret[0][:4]]
        if arguments[0] == "poll" and secret[0].startswith("pgt_"):
            advice = f"{_POLL_ADVICE}. Others may have seen it: rotate it"
        raise UsageError(f"{name} cannot be an argument, which the shell's history and the process list show: {advice}")
    if any(argument.partition("=")[0] == "--token" for argument in arguments):
        raise UsageError(f"a token cannot be an argument: {_POLL_ADVICE}")
