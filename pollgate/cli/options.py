"""Options that many commands have, and groups of commands."""

from typing import Annotated

from cyclopts import App, Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for scripts.")]
Wait = Annotated[bool, Parameter(help="Wait until it is effective everywhere (the default), or print when it will be.")]
Repeatable = Annotated[list[str], Parameter(negative="")]


def command_group(name: str, help_text: str) -> App:
    """Return an empty group of commands. Its help is plain text."""
    return App(
        name=name,
        help=help_text,
        help_epilogue=f"pollgate {name} COMMAND --help describes a command.",
        help_format="plaintext",
        default_parameter=Parameter(show_default=False),
    )
