"""A table as CSV (RFC 4180) that a spreadsheet shows as it is and never reckons with.

What would begin a formula gets an apostrophe before it: at the start of a text, and inside it where a spreadsheet that
separates cells at semicolons or tabs, as in much of Europe, would begin a cell. So a program that reads the table back
finds that apostrophe in such texts (OWASP, "CSV Injection").
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

Cell = str | int | float | None


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The table in UTF-8, its lines ended by CRLF. Texts are quoted, numbers are not; `None` is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow([_inert(name) for name in header])
    writer.writerows([_inert(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue().encode()


_UNSEEN: Final = r"\s\x00-\x1f\x7f-\xa0\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_BEGINS_FORMULA: Final = "=＝﹦+＋﹢\\-－﹣−@＠﹫|｜%％﹪"

_AT_START: Final = re.compile(rf"[{_UNSEEN}]*[{_BEGINS_FORMULA}]|[{_UNSEEN}]*?[\t\r\n]")
_INSIDE: Final = re.compile(rf'(?P<gap>[;"{_UNSEEN}]+)(?P<beginning>[{_BEGINS_FORMULA}])?')
_SEPARATORS: Final = frozenset(";\t\r\n")


def _inert(text: str) -> str:
    """The text without NUL, and with an apostrophe before whatever would begin a formula."""
    text = text.replace("\0", "")
    apostrophe = "'" if _AT_START.match(text) else ""
    return apostrophe + _INSIDE.sub(_parted, text)


def _parted(found: re.Match[str]) -> str:
    gap, beginning = found["gap"], found["beginning"]
    return f"{gap}'{beginning}" if beginning and not _SEPARATORS.isdisjoint(gap) else found[0]
