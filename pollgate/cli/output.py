"""What the commands print: tables, fields one below the other, and JSON. Nothing in it moves a terminal's cursor."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP: Final = 2
_NARROWEST: Final = 16
"""What a column is left whose words may be broken."""


def print_json(value: object) -> None:
    """Indented, as people read it too."""
    print(_inert(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def json_line(value: object) -> str:
    """JSON on one line."""
    return _inert(msgspec.json.encode(value).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, broken: Sequence[str] = ()) -> None:
    """A table no wider than the terminal, with columns folded between words, and within them those named `broken`.

    Where that is too narrow, each row becomes fields one below the other; a pipe is as wide as it takes.
    """
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [_width([column, *cells]) for column, *cells in zip(columns, *shown, strict=True)]
    terminal = terminal_width() or sum(widths) + _GAP * len(columns)
    least = [
        min(width, _NARROWEST) if column in broken else _width(" ".join([column, *cells]).split())
        for width, (column, *cells) in zip(widths, zip(columns, *shown, strict=True), strict=True)
    ]
    room = terminal - _GAP * (len(columns) - 1)
    if sum(least) > room:
        _print_records(columns, shown)
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for column, width in zip(columns, _fitted(widths, least, room), strict=True):
        table.add_column(column, overflow="fold", width=width)
    for cells in shown:
        table.add_row(*map(Text, cells))
    Console(markup=False, emoji=False, highlight=False, width=terminal).print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """A name and a value on a line each; further lines of a value stand below its first."""
    shown = list(fields)
    width = max(len(name) for name, _ in shown) + _GAP
    for name, value in shown:
        print(name.ljust(width) + plain(value).replace("\n", "\n" + " " * width))


def terminal_width() -> int | None:
    """How many columns there are; `None` where what is printed goes elsewhere."""
    return Console().width if sys.stdout.isatty() else None


def plain(text: str) -> str:
    """The text with what a terminal would act on, such as escape sequences, written out."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def on_one_line(text: str) -> str:
    """The same, also with line breaks written out, so that what somebody else wrote is not taken for a line of ours."""
    return plain(text).replace("\n", "\\n")


def counted(number: int, thing: str) -> str:
    """`1 token`, `2 tokens`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _inert(json: str) -> str:
    """JSON of the same meaning, in which what a terminal would act on is escaped."""
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in json)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for index, cells in enumerate(rows):
        print("" if index == 0 else "\n", end="")
        print_fields((column, cell.strip(" ")) for column, cell in zip(columns, cells, strict=True) if cell)


def _width(cells: Sequence[str]) -> int:
    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _fitted(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths, with the widest made narrower until all have room."""
    fitted = list(widths)
    while sum(fitted) > room:
        spare = [width if width > least[index] else 0 for index, width in enumerate(fitted)]
        fitted[spare.index(max(spare))] -= 1
    return fitted
