"""Write a table as CSV (RFC 4180) in which a spreadsheet finds no formulas (OWASP, "CSV Injection").

Text that would be a formula gets an apostrophe before it: at the start of a cell, and after a semicolon or tab, where
spreadsheets of many European locales begin a new cell. A program that reads the table finds these apostrophes.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

Cell = str | int | float | None


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Cell]], *, with_bom: bool = False) -> bytes:
    """Return the table in UTF-8 with CRLF line endings. Text is quoted, numbers are not; `None` is an empty cell.

    Excel takes a file for UTF-8 only if it begins with a byte order mark. Other programs may read that as text.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow([_neutralize(name) for name in header])
    writer.writerows([_neutralize(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return (codecs.BOM_UTF8 if with_bom else b"") + text.getvalue().encode()


_INVISIBLE: Final = r"\s\x00-\x1f\x7f-\xa0\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_FORMULA_START: Final = "=＝﹦+＋﹢\\-－﹣−@＠﹫|｜%％﹪"

_AT_START: Final = re.compile(rf"[{_INVISIBLE}]*[{_FORMULA_START}]|[{_INVISIBLE}]*?[\t\r\n]")
_INSIDE: Final = re.compile(rf'(?P<gap>[;"{_INVISIBLE}]+)(?P<beginning>[{_FORMULA_START}])?')
_SEPARATORS: Final = frozenset(";\t\r\n")


def _neutralize(text: str) -> str:
    """Return the text without NUL, and with an apostrophe before everything that would start a formula."""
    text = text.replace("\0", "")
    apostrophe = "'" if _AT_START.match(text) else ""
    return apostrophe + _INSIDE.sub(_insert_apostrophe, text)


def _insert_apostrophe(match: re.Match[str]) -> str:
    gap, beginning = match["gap"], match["beginning"]
    return f"{gap}'{beginning}" if beginning and not _SEPARATORS.isdisjoint(gap) else match[0]
