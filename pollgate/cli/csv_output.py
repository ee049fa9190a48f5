"""Print CSV, and the option that has Excel read it."""

import sys
from codecs import BOM_UTF8
from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.output import escape

Excel = Annotated[
    bool, Parameter(negative="", help="Begin the CSV with a byte order mark, by which Excel recognizes UTF-8.")
]


def print_csv(content: bytes) -> None:
    """Print CSV unchanged to a pipe or file, and escaped to a terminal."""
    if sys.stdout.isatty():
        print(escape(content.removeprefix(BOM_UTF8).decode().replace("\r\n", "\n")), end="")
        return
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
