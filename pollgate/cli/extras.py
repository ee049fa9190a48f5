"""Commands that need more packages than the command line has."""

from collections.abc import Generator
from contextlib import contextmanager

from pollgate.cli.errors import CliError


@contextmanager
def require_extras(extras: str) -> Generator[None, None, None]:
    """Raise `CliError` where an import in the block fails because these extras are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("pollgate", "services", "shared"):
            raise
        raise CliError(describe_install(extras)) from None


def describe_install(extras: str) -> str:
    """Return how to install the extras."""
    return f"this command needs more packages; run: pip install 'pollgate[cli,{extras}]'"
