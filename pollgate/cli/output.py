"""Print tables, fields and JSON. Control characters are escaped, so that no text can control the terminal."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final
from unicodedata import category

import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP: Final = 2
_JOINERS: Final = "\u200c\u200d"
_NARROWEST: Final = 16
"""The smallest width of a column in which words may be broken."""


def warn(message: str) -> None:
    """Print a warning on standard error, in one line, so that it never mixes with output for scripts."""
    print(f"pollgate: warning: {escape_line(message)}.", file=sys.stderr)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(_escape_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def json_line(value: object) -> str:
    """Return a value as JSON on one line."""
    return _escape_json(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, foldable: Sequence[str] = ()) -> None:
    """Print a table that fits the terminal: lines are folded between words, and in `foldable` columns within words.

    Where even that is too wide, print each row as fields. In a pipe nothing is folded.
    """
    shown = [[escape(cell) for cell in row] for row in rows]
    widths = [_width([column, *cells]) for column, *cells in zip(columns, *shown, strict=True)]
    terminal = terminal_width() or sum(widths) + _GAP * len(columns)
    least = [
        min(width, _NARROWEST) if column in foldable else _width(" ".join([column, *cells]).split())
        for width, (column, *cells) in zip(widths, zip(columns, *shown, strict=True), strict=True)
    ]
    room = terminal - _GAP * (len(columns) - 1)
    if sum(least) > room:
        _print_records(columns, shown)
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for column, width in zip(columns, _fit(widths, least, room), strict=True):
        table.add_column(column, overflow="fold", width=width)
    for cells in shown:
        table.add_row(*map(Text, cells))
    Console(markup=False, emoji=False, highlight=False, width=terminal).print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print each name and value on a line; further lines of a value are aligned with its first."""
    shown = list(fields)
    width = max(len(name) for name, _ in shown) + _GAP
    for name, value in shown:
        print(name.ljust(width) + escape(value).replace("\n", "\n" + " " * width))


def terminal_width() -> int | None:
    """Return the width of the terminal in columns; `None` where standard output is not a terminal."""
    return Console().width if sys.stdout.isatty() else None


def escape(text: str) -> str:
    """Return the text with control characters, such as escape sequences, written as Python escapes.

    Spaces of any width and the joiners of emoji and of Persian stay, because people write them in names.
    """
    return "".join(each if _is_shown(each) or each == "\n" else ascii(each)[1:-1] for each in text)


def escape_line(text: str) -> str:
    """Return the text escaped on one line, so that a line break in it cannot forge a line of output."""
    return escape(text).replace("\n", "\\n")


def pluralize(number: int, thing: str) -> str:
    """Return a number with its noun: `1 token`, `2 tokens`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def describe_value(value: object) -> str:
    """Return a value of JSON as people read it: `yes`, `none`, `1,000`, `a, b`; a text in quotes."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:,}"
        case list():
            return ", ".join(each if isinstance(each, str) else describe_value(each) for each in value) or "none"
    return msgspec.json.encode(value).decode()


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or category(character) == "Zs"


def _escape_json(json: str) -> str:
    """Return equivalent JSON with control characters escaped."""
    return "".join(each if each.isprintable() or each == "\n" else _json_escape(each) for each in json)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for index, cells in enumerate(rows):
        print("" if index == 0 else "\n", end="")
        print_fields((column, cell.strip(" ")) for column, cell in zip(columns, cells, strict=True) if cell)


def _width(cells: Sequence[str]) -> int:
    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _fit(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the widths, with the widest reduced until all fit."""
    fitted = list(widths)
    while sum(fitted) > room:
        spare = [width if width > least[index] else 0 for index, width in enumerate(fitted)]
        fitted[spare.index(max(spare))] -= 1
    return fitted
