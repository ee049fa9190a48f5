"""The `pollgate` command."""

import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from pollgate.cli.commands import admin, audit, doctor, keys, open_pages, poll, restore, service, site, stack, token
from pollgate.cli.commands.completion import register_completion
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.output import escape
from pollgate.cli.secret_arguments import require_no_secret
from pollgate.cli.usage_errors import usage_message
from pollgate.stack.errors import StackError

app = App(
    name="pollgate",
    help="Polls over HTTP, protected by scoped access tokens with immediate revocation.",
    help_format="plaintext",
    help_epilogue="Examples:\n\n"
    "  pollgate up\n"
    "  pollgate token create --name 'Sprint polls' --scope polls:*:PLAT\n"
    "  pollgate token create --help",
    version="0.1.0",
)
for group in (poll.app, token.app, site.app, admin.app, service.app, audit.app, keys.app, restore.app):
    app.command(group)
for command, example in (
    (stack.up, "pollgate up --polls-port 8090 --token-authority-port 8091"),
    (stack.migrate, "pollgate migrate"),
    (stack.wait_for_schema, "pollgate wait-for-schema polls"),
    (stack.serve, "pollgate serve token-authority"),
    (stack.secrets, "pollgate secrets ./secrets --postgres postgres:5432"),
    (doctor.doctor, "pollgate doctor --strict"),
):
    app.command(command, help_epilogue=f"Example:\n\n  {example}")
app.command(
    open_pages.open_pages,
    name="open",
    help_epilogue="Example:\n\n  pollgate open",
    default_parameter=Parameter(show_default=False),
)
register_completion(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Errors are a sentence on standard error with exit status 1, wrong usage with status 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _escape_unencodable_output()
    try:
        _require_text(words)
        require_no_secret(words)
        try:
            app(words, exit_on_error=False, print_error=False)
        finally:
            sys.stdout.flush()
    except (CliError, StackError) as error:
        _exit(f"pollgate: {error}", 2 if isinstance(error, UsageError) else 1)
    except CycloptsError as error:
        _exit(f"pollgate: {usage_message(error)} See --help.", 2)
    except BrokenPipeError:
        # The reader of the pipe has closed it. Without a standard output, Python does not report that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _escape_unencodable_output() -> None:
    """Print the code of a character that the terminal's encoding does not have, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _require_text(words: Sequence[str]) -> None:
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        raise UsageError("an argument is not valid UTF-8") from None


def _exit(message: str, status: int) -> NoReturn:
    print(escape(message), file=sys.stderr)
    sys.exit(status)
