"""Clean texts that people write: titles, names, descriptions, comments, reasons.

Accepted: every script and its joiners, variation selectors and spaces of any width. Such a text is stored in NFC,
without blanks around it, and with LF as its line break. Refused: control characters, characters that override the
direction of text, embeddings and isolates that do not end on their line, lone surrogates, noncharacters, more than 30
combining marks in a row (UAX #15, Stream-Safe Text), and a text without a visible character.

A length is counted in code points after this.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

STORED: Final = "stored in NFC without blanks around it, which are not counted"
"""What happens to a text of these, for API documents."""
MAX_COMBINING_MARKS: Final = 30
_MAX_SHRINKING: Final = 4
"""A text that is this many times longer than its limit is refused unread: NFC makes one character of four at most."""


class InvalidText(ValueError):
    """The text is refused. The message names the character, and is the end of a sentence about the field."""


def fit_line(text: str, limit: int, *, least: int = 1) -> str:
    """Return `clean_line(text)` if it has `least` to `limit` characters. Raise `InvalidText`."""
    return _fit(text, clean_line, least, limit)


def fit_lines(text: str, limit: int, *, least: int = 0) -> str:
    """Return `clean_lines(text)` if it has `least` to `limit` characters. Raise `InvalidText`."""
    return _fit(text, clean_lines, least, limit)


def clean_line(text: str) -> str:
    """Return a text of one line as it is to be stored. Raise `InvalidText`. An empty text stays empty."""
    if text.isascii() and text.isprintable():
        return text.strip(" ")
    cleaned = text.strip(_BLANKS)
    line_break = _LINE_BREAK_OR_TAB.search(cleaned)
    if line_break:
        what = "tab" if line_break[0] == "\t" else "line break"
        raise InvalidText(f"contains the {what} {name_of(line_break[0])}; write a space instead")
    return _clean(cleaned)


def clean_lines(text: str) -> str:
    """Return a text of any number of lines as it is to be stored. Raise `InvalidText`. An empty text stays empty."""
    return _clean(_LINE_BREAK.sub("\n", text).strip(_BLANKS))


def shorten_line(text: str, limit: int) -> str:
    """Return the first characters of a text as one line that `clean_line` accepts, for texts of other systems.

    Remove what is refused, and every character that changes the direction of text. A text without a visible character
    becomes empty.
    """
    line = _LINE_BREAK_OR_TAB.sub(" ", _LINE_BREAK.sub("\n", text[: _MAX_SHRINKING * limit]))
    shown = _DIRECTION.sub("", _REFUSED.sub("", line))
    try:
        return clean_line(clean_line(shown)[:limit])
    except InvalidText:
        return ""


def comparable(text: str) -> str:
    """Return the form in which two texts that look alike are equal: NFC, without invisible characters and outer blanks.

    Letter case counts. A text that would be refused has such a form too.
    """
    if text.isascii():
        return text.strip(_BLANKS)
    return unicodedata.normalize("NFC", _IGNORABLE.sub("", text)).strip(_BLANKS)


def directions(text: str) -> str:
    """Return the characters of the text that change the order in which it is shown."""
    return "" if text.isascii() else "".join(_DIRECTION.findall(text))


def has_outer_blank(text: str) -> bool:
    """Return whether the text begins or ends with a blank or a line break."""
    return text != text.strip(_BLANKS)


def normalize(text: str) -> str:
    """Return the text in NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def find_control(text: str) -> str | None:
    """Return the first control character, line breaks and tabs included; `None` if there is none."""
    found = _CONTROL.search(text)
    return found[0] if found else None


def name_of(character: str) -> str:
    """Return the code point, such as `U+0007`."""
    return f"U+{ord(character):04X}"


_SPACES: Final = "\x20\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_BLANKS: Final = _SPACES + "\t\n\r\u0085\u2028\u2029"
_LINE_BREAK: Final = re.compile("\r\n|[\r\u0085\u2028\u2029]")
_LINE_BREAK_OR_TAB: Final = re.compile("[\t\n\r\u0085\u2028\u2029]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_IGNORABLE_RANGES: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point of Unicode: characters that have no glyph of their own."""
_BRAILLE_BLANK: Final = "\u2800"
_IGNORABLE: Final = re.compile(f"[{_IGNORABLE_RANGES}]")
_VISIBLE: Final = re.compile(f"[^{_IGNORABLE_RANGES}{_BLANKS}{_BRAILLE_BLANK}]")
_REFUSED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_DIRECTION: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DIRECTIONS: Final = re.compile("[\u202a-\u202c\u2066-\u2069\n]")
_ENDS: Final = {"\u202a": "\u202c", "\u202b": "\u202c", "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}


def _fit(text: str, clean: Callable[[str], str], least: int, limit: int) -> str:
    cleaned = clean(text) if len(text) <= _MAX_SHRINKING * limit else text
    if not least <= len(cleaned) <= limit:
        expected = f"{least} to {limit}" if least else f"at most {limit}"
        blanks = "" if len(cleaned) == len(text) else "; blanks around a text are not counted"
        raise InvalidText(f"has {len(cleaned)} characters; expected {expected}{blanks}")
    return cleaned


def _clean(text: str) -> str:
    refused = _REFUSED.search(text)
    if refused:
        raise InvalidText(f"contains {_describe(refused[0])}; remove it")
    if not text.isascii():
        _require_balanced_directions(text)
        _require_few_marks(text)
        text = unicodedata.normalize("NFC", text)
    if text and not _VISIBLE.search(text):
        raise InvalidText("contains no visible character")
    return text


def _describe(character: str) -> str:
    name = name_of(character)
    if _CONTROL.fullmatch(character):
        return f"the control character {name}"
    if character in "\u202d\u202e":
        return f"{name}, which overrides the direction of text"
    return f"{name}, which is not a character"


def _require_balanced_directions(text: str) -> None:
    """Raise `InvalidText` unless each embedding and isolate ends on its line: otherwise it reorders what follows."""
    open_ends: list[tuple[str, str]] = []
    for match in (*_DIRECTIONS.finditer(text), None):
        character = match[0] if match else "\n"
        if character in _ENDS:
            open_ends.append((character, _ENDS[character]))
        elif character == "\n":
            if open_ends:
                raise InvalidText(_unbalanced(open_ends[-1][0]))
        elif not open_ends or open_ends.pop()[1] != character:
            raise InvalidText(_unbalanced(character))


def _unbalanced(character: str) -> str:
    return f"contains {name_of(character)}, which changes the direction of text, without its counterpart; remove it"


def _require_few_marks(text: str) -> None:
    """Raise `InvalidText` for a long row of combining marks, which takes quadratic time to normalize."""
    marks = 0
    for is_mark in map(unicodedata.combining, text):
        marks = marks + 1 if is_mark else 0
        if marks > MAX_COMBINING_MARKS:
            raise InvalidText(f"contains more than {MAX_COMBINING_MARKS} combining marks in a row; remove some")
