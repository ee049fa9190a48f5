"""Find the events that the services log, by reading their source."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("services", "shared")
LEVELS: Final = ("debug", "info", "warning", "error", "critical", "exception")
_OUTAGE: Final = ROOT / "shared" / "runtime" / "process" / "outage.py"
"""It logs the texts that it was made with."""


class LogEvent(NamedTuple):
    """An event: its text without backquotes, its level, the names of its fields, and where it is logged."""

    text: str
    level: str
    fields: tuple[str, ...]
    place: str


def find_log_events() -> list[LogEvent]:
    """Return every event. Raise `ValueError` for a text that is not made of literals and constants of the module."""
    files = sorted(file for folder in SOURCES for file in (ROOT / folder).rglob("*.py"))
    return [event for file in files if file != _OUTAGE for event in _events_of(file)]


def _events_of(file: Path) -> Iterator[LogEvent]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and node.value is not None
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = f"{file.relative_to(ROOT)}:{node.lineno}"
            fields = tuple(keyword.arg for keyword in node.keywords if keyword.arg)
            for level, text in _logged(node):
                for each in _read_texts(text, constants, place):
                    yield LogEvent(each.replace("`", ""), level, fields, place)


def _logged(call: ast.Call) -> list[tuple[str, ast.expr]]:
    """Return level and text of what a call logs now or later."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="_log" | "log" | "logger"), attr=level) if level in LEVELS:
            return [("error" if level == "exception" else level, call.args[0])]
        case ast.Name(id="Outage"):
            return [("error", call.args[0]), ("info", call.args[1])]
    return []


def _read_texts(node: ast.expr, constants: dict[str, ast.expr], place: str) -> list[str]:
    """Return what the text may be: one, or all values of a dictionary in which it is looked up."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Name(id=name) if name in constants:
            return _read_texts(constants[name], constants, place)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            begins, ends = _read_texts(left, constants, place), _read_texts(right, constants, place)
            return [begin + end for begin in begins for end in ends]
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(constants.get(name), ast.Dict):
            values = cast(ast.Dict, constants[name]).values
            return [text for value in values for text in _read_texts(value, constants, place)]
    raise ValueError(f"{place}: the text of a log event has to be made of literals and constants of its module")
