"""Participants in a file, or on standard input: a table with a column of ids and maybe of names, or one id per line."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pollgate.cli.errors import CliError
from pollgate.cli.output import warn
from pollgate.client import InvalidArgument, Invitation
from pollgate.client.arguments import require_participant
from shared.runtime.text.characters import InvalidText, find_control, fit_line, has_outer_blank, name_of, normalize

COLUMNS: Final = ("participant", "name")
ID_COLUMNS: Final = (COLUMNS[0], "id", "email", "e-mail", "user")
"""Names of a column with the ids of participants. The first of them that a table has is that column."""
DELIMITERS: Final = ",;\t"
MAX_LENGTH: Final = 255
MAX_SHOWN: Final = 10

Cells = tuple[int, Sequence[str]]
"""The cells of a row, after the number of its first line."""


class Row(NamedTuple):
    """A participant, and the line of the file that names it."""

    line: int
    invitation: Invitation


class _InvalidLine(Exception):
    """A line of the file is wrong."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line:,}: {reason}")


def read_participants(name: str) -> list[Row]:
    """Return the participants in a file, or on standard input for `-`. Raise `CliError`, which names the lines."""
    source = "standard input" if name == "-" else name
    text = _read(name, source)
    try:
        rows = list(_rows(text))
    except _InvalidLine as error:
        raise CliError(f"{source}, {error}") from None
    problems = list(_problems(rows))
    if problems:
        more = [f"and {len(problems) - MAX_SHOWN:,} more"] if len(problems) > MAX_SHOWN else []
        shown = "\n  ".join([*map(str, problems[:MAX_SHOWN]), *more])
        raise CliError(f"participants in {source} are not valid; no link was created:\n  {shown}")
    if not rows:
        raise CliError(f"{source} contains no participant")
    return rows


def _read(name: str, source: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CliError(f"cannot read the participants: {error.strerror}: {source}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CliError(f"{source}, line {line:,}: this is not UTF-8; save the file as text in UTF-8") from None


def _rows(text: str) -> Iterator[Row]:
    """Yield the participants. Raise `_InvalidLine` for text that is neither a table nor a list."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = next((each for each in DELIMITERS if each in first), DELIMITERS[0])
    table = _cells(text, delimiter)
    line, header = next(table, (1, ()))
    names = [cell.strip().casefold() for cell in header]
    if _is_header(names):
        yield from _from_table(line, names, table)
    else:
        yield from _from_list(text)


def _is_header(names: Sequence[str]) -> bool:
    """Return whether the first line names columns. Without the column participant, it may have no other names."""
    given = {name for name in names if name}
    return COLUMNS[0] in given or (bool(given) and given <= {*ID_COLUMNS, *COLUMNS})


def _cells(text: str, delimiter: str) -> Iterator[Cells]:
    """Yield the rows that are not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise _InvalidLine(line, f"the row that begins here is not CSV: {error}") from None


def _from_table(line: int, names: Sequence[str], rows: Iterable[Cells]) -> Iterator[Row]:
    column = next((name for name in ID_COLUMNS if name in names), None)
    if column is None:
        raise _InvalidLine(line, f"this names columns, but none for the ids of participants: {_one_of(ID_COLUMNS)}")
    repeated = next((name for name in (column, COLUMNS[1]) if names.count(name) > 1), None)
    if repeated is not None:
        raise _InvalidLine(line, f"there are several columns {repeated}")
    unused = [name for name in names if name and name not in (column, COLUMNS[1])]
    if unused:
        warn(f"only the columns {column} and name are used, not {', '.join(unused)}")
    for number, cells in rows:
        if len(cells) > len(names) and any(cells[len(names) :]):
            raise _InvalidLine(number, f"this row has {len(cells)} cells, but the table has {len(names)} columns")
        row = dict(zip(names, cells, strict=False))
        yield Row(number, Invitation(row.get(column, ""), row.get(COLUMNS[1]) or None))


def _one_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _from_list(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        participant = line.removesuffix("\r")
        if participant.startswith('"') or any(delimiter in participant for delimiter in DELIMITERS):
            header = ",".join(COLUMNS)
            reason = f"this is a row of a table, which has to begin with the line {header}; in a list, a line is one id"
            raise _InvalidLine(number, reason)
        if participant.strip():
            yield Row(number, Invitation(participant))


def _problems(rows: Iterable[Row]) -> Iterator[_InvalidLine]:
    """Yield what the service would refuse, so that it is found before the first links are created."""
    first: dict[str, int] = {}
    for line, invitation in rows:
        before = first.setdefault(normalize(invitation.participant), line)
        if before != line:
            yield _InvalidLine(line, f"this is the participant of line {before:,}; each gets one link")
            continue
        try:
            _require_valid(invitation)
        except (InvalidText, InvalidArgument) as error:
            yield _InvalidLine(line, str(error))


def _require_valid(invitation: Invitation) -> None:
    """Raise `InvalidArgument` or `InvalidText` by the rules of the service."""
    require_participant(invitation.participant)
    control = find_control(invitation.participant)
    if control:
        raise InvalidText(f"participant: this contains the control character {name_of(control)}; remove it")
    if has_outer_blank(invitation.participant):
        raise InvalidText("participant: this begins or ends with a blank; remove it")
    length = len(normalize(invitation.participant))
    if length > MAX_LENGTH:
        raise InvalidText(f"participant: this has {length:,} characters; expected 1 to {MAX_LENGTH}")
    if invitation.name is not None:
        try:
            fit_line(invitation.name, MAX_LENGTH)
        except InvalidText as error:
            raise InvalidText(f"name: this {error}") from None
