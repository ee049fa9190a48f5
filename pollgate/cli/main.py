"""The `pollgate` command."""

import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from pollgate.cli.commands import admin, audit, keys, poll, service, site, stack, token
from pollgate.cli.errors import CliError
from pollgate.cli.output import plain
from pollgate.cli.polls_session import require_no_token
from pollgate.cli.usage_errors import told
from pollgate.stack.errors import StackError

app = App(name="pollgate", help="Polls over HTTP, behind scoped access tokens that die at once.", version="0.1.0")
for group in (poll.app, token.app, site.app, admin.app, service.app, audit.app, keys.app):
    app.command(group)
for command in (stack.up, stack.migrate, stack.serve, stack.secrets):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; a known fault ends in one sentence on standard error and status 1, wrong usage in status 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _print_whatever_comes()
    try:
        _require_text(words)
        if words[:1] == [poll.app.name[0]]:
            require_no_token(words)
        app(words, exit_on_error=False, print_error=False)
    except (CliError, StackError) as fault:
        _end(f"pollgate: {fault}", 1)
    except CycloptsError as misuse:
        _end(f"pollgate: {told(misuse)} See --help.", 2)
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python is not to complain of that when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_whatever_comes() -> None:
    """A terminal that cannot show a character shows its number, in place of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _require_text(words: Sequence[str]) -> None:
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        raise CliError("an argument is not text in UTF-8") from None


def _end(sentence: str, status: int) -> NoReturn:
    print(plain(sentence), file=sys.stderr)
    sys.exit(status)
