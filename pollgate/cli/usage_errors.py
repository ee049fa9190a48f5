"""What is wrong with how a command was called: in the parser's words, and in ours where those are about itself."""

from typing import Final

from cyclopts import CycloptsError, MissingArgumentError

_WANTED: Final = {
    "--as": "say who votes: --as PARTICIPANT",
    "OPTION": "say what is chosen: the id or the title of an option",
}


def told(misuse: CycloptsError) -> str:
    """What is wrong, in whole sentences."""
    sentence = (_missing(misuse) if isinstance(misuse, MissingArgumentError) else None) or str(misuse)
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _missing(misuse: MissingArgumentError) -> str | None:
    if misuse.argument is None:
        return None
    name = misuse.argument.name
    return _WANTED.get(name, f"{name} is missing" if misuse.keyword is None else f"{name} takes a value")
