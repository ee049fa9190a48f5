"""Messages for wrong usage: those of the parser, or clearer ones of this module."""

from typing import Final

from cyclopts import CycloptsError, MissingArgumentError

_MISSING: Final = {
    "--as": "--as PARTICIPANT is missing: the participant who votes",
    "OPTION": "OPTION is missing: the id or the title of an option",
}


def usage_message(error: CycloptsError) -> str:
    """Return what is wrong, in whole sentences."""
    message = (_missing(error) if isinstance(error, MissingArgumentError) else None) or str(error)
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _missing(error: MissingArgumentError) -> str | None:
    if error.argument is None:
        return None
    name = error.argument.name
    return _MISSING.get(name, f"{name} is missing" if error.keyword is None else f"{name} requires a value")
