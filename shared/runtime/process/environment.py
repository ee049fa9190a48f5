"""Read a service's settings from the environment into a Struct, before anything is opened.

A field `redis_url` is read from `REDIS_URL`, or from the file that `REDIS_URL_FILE` names, which is how containers get
secrets. An empty variable counts as not set. A renamed variable keeps its former name for a while: see `FormerName`.
A secret that may change while the process runs is a `RotatableText`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, get_type_hints
from urllib.parse import SplitResult, urlsplit

import msgspec
import structlog

from shared.runtime.process.private_file import can_others_read

_log = structlog.get_logger()

S = TypeVar("S", bound=msgspec.Struct)

MAX_PORT: Final = 65535


class SettingsError(Exception):
    """A variable is missing or wrong. The message names the variable and never its value."""


class FormerName(NamedTuple):
    """The former name of a variable, as an annotation of its field. It still works, with a warning in the log.

    `limit: Annotated[int, Meta(description="…"), FormerName("OLD_LIMIT")] = 5`
    """

    variable: str


class RotatableText:
    """The text of a setting that may change while the process runs, such as a URL with a password.

    If `NAME_FILE` has set the field, `read()` reads the file again. Call it whenever the text is used. `name` is the
    variable that has set it, for messages; it is empty if there is none.
    """

    __slots__ = ("_file", "_is_readable", "_text", "name")

    def __init__(self, text: str, file: Path | None = None, name: str = "") -> None:
        self.name = name
        self._text = text
        self._file = file
        self._is_readable = True

    @property
    def may_change(self) -> bool:
        """Whether the text comes from a file."""
        return self._file is not None

    def read(self) -> str:
        """Return what the file holds now; without a file, the text.

        If the file is empty or cannot be read, return what it held before, and log that once.
        """
        if self._file is None:
            return self._text
        try:
            text = self._file.read_text(encoding="utf-8").strip()
            reason = "" if text else "the file is empty"
        except (OSError, UnicodeDecodeError) as error:
            text, reason = "", getattr(error, "strerror", None) or type(error).__name__
        if text:
            self._text = text
        elif self._is_readable:
            _log.warning("the file of a setting cannot be read again", file=str(self._file), error=reason)
        self._is_readable = bool(text)
        return self._text


def read_settings(kind: type[S], environ: Mapping[str, str]) -> S:
    """Fill `kind` from `environ`. Raise `SettingsError` for the first variable that is missing or wrong."""
    values = {}
    environ = _rename_variables(kind, environ)
    types = get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        variable = field.name.upper()
        text = _read_variable(variable, environ)
        if text is None:
            if field.required:
                raise SettingsError(
                    f"{variable} is not set; set it, or {variable}_FILE to a file that holds it"
                    + _explanation(kind, field.name)
                )
            continue
        if types[field.name] is RotatableText:
            file = _file_of(variable, environ)
            values[field.name] = RotatableText(text, file, f"{variable}_FILE" if file else variable)
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            reason = str(error).replace("`", "'")
            raise SettingsError(f"{variable} is wrong: {reason}{_explanation(kind, field.name)}") from None
    return kind(**values)


def describe_settings(kind: type[msgspec.Struct]) -> str:
    """Return one line per variable of `kind`, with its meaning and default, for `--help`."""
    lines = []
    for field in msgspec.structs.fields(kind):
        default = "required" if field.required else f"default {field.default!r}"
        lines.append(f"  {field.name.upper():<32} {_meaning(kind, field.name)} ({default})")
    return "\n".join(lines)


def split_url(url: str, name: str) -> SplitResult:
    """Return the parts of a URL. Raise `SettingsError` with the URL's `name`, and nothing of the URL itself."""
    try:
        parts = urlsplit(url)
        _require_valid_port(parts)
    except ValueError:
        port = _PORT.search(url)
        if port and int(port[1]) > MAX_PORT:
            raise SettingsError(f"{name} is wrong: a port is a number from 1 to {MAX_PORT}") from None
        encode = "percent-encode all characters but letters and digits in its user and password"
        raise SettingsError(f"{name} cannot be read as a URL; {encode}") from None
    return parts


_PORT: Final = re.compile(r"@[^@/?#]*:([0-9]{1,20})(?:[/?#]|$)")
"""A number as port in a URL with a user or a password."""


def _require_valid_port(parts: SplitResult) -> None:
    """Raise `ValueError` unless the port is absent or a number up to 65535. urllib checks it only when it is read."""
    if parts.port is not None and parts.port > MAX_PORT:
        raise ValueError("port out of range")


def _explanation(kind: type[msgspec.Struct], field: str) -> str:
    meaning = _meaning(kind, field)
    return f" ({meaning})" if meaning else ""


def _meaning(kind: type[msgspec.Struct], field: str) -> str:
    notes = getattr(get_type_hints(kind, include_extras=True)[field], "__metadata__", ())
    return next((note.description for note in notes if isinstance(note, msgspec.Meta)), "") or ""


def _rename_variables(kind: type[msgspec.Struct], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return `environ` with former names replaced by current ones. Raise `SettingsError` if both are set."""
    renamed = dict(environ)
    for field, hint in get_type_hints(kind, include_extras=True).items():
        name = field.upper()
        for former in (note.variable for note in getattr(hint, "__metadata__", ()) if isinstance(note, FormerName)):
            values = {suffix: environ[former + suffix] for suffix in ("", "_FILE") if environ.get(former + suffix)}
            if not values:
                continue
            if environ.get(name) or environ.get(f"{name}_FILE"):
                raise SettingsError(f"{former} is the former name of {name}, and both are set; keep {name}")
            _log.warning("setting renamed: the former name will stop working", former=former, name=name)
            renamed.update({name + suffix: value for suffix, value in values.items()})
    return renamed


def _file_of(variable: str, environ: Mapping[str, str]) -> Path | None:
    name = environ.get(f"{variable}_FILE")
    return Path(name) if name else None


def _read_variable(variable: str, environ: Mapping[str, str]) -> str | None:
    text, file = environ.get(variable) or None, _file_of(variable, environ)
    if file is None:
        return text
    if text is not None:
        raise SettingsError(f"{variable} and {variable}_FILE are both set; keep one")
    try:
        text = file.read_text(encoding="utf-8").strip()
        if can_others_read(file):
            _log.warning("other users can read the file of a setting", name=f"{variable}_FILE", file=str(file))
    except OSError as error:
        raise SettingsError(f"{variable}_FILE cannot be read: {error.strerror}: {file}") from None
    return text
