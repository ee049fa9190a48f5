"""Settings from the environment: one Struct a service, checked before anything is opened.

A field `redis_url` is read from `REDIS_URL`, or from the file that `REDIS_URL_FILE` names, as secrets are given to
containers. An empty variable counts as not set.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, get_type_hints
from urllib.parse import SplitResult, urlsplit

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class SettingsError(Exception):
    """A variable is missing or wrong. The message names the variable and never its value."""


def read_settings(kind: type[S], environ: Mapping[str, str]) -> S:
    """Fill `kind` from `environ`. Raises `SettingsError` for the first variable that is missing or wrong."""
    values = {}
    for field in msgspec.structs.fields(kind):
        variable = field.name.upper()
        text = _read_variable(variable, environ)
        if text is None:
            if field.required:
                raise SettingsError(
                    f"{variable} is not set; set it, or {variable}_FILE to a file that holds it"
                    + _told(kind, field.name)
                )
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            fault = str(error).replace("`", "'")
            raise SettingsError(f"{variable} is wrong: {fault}{_told(kind, field.name)}") from None
    return kind(**values)


def describe_settings(kind: type[msgspec.Struct]) -> str:
    """The variables of `kind` with default and meaning, a line each, for `--help`."""
    lines = []
    for field in msgspec.structs.fields(kind):
        default = "required" if field.required else f"default {field.default!r}"
        lines.append(f"  {field.name.upper():<32} {_meaning(kind, field.name)} ({default})")
    return "\n".join(lines)


def split_url(url: str, name: str) -> SplitResult:
    """The parts of a URL. Raises `SettingsError`, that says the URL's `name` and nothing of the URL itself."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        encode = "percent-encode all but letters and digits in its user and password"
        raise SettingsError(f"{name} cannot be read as a URL; {encode}") from None
    return parts


def _told(kind: type[msgspec.Struct], field: str) -> str:
    meaning = _meaning(kind, field)
    return f"; it says {meaning}" if meaning else ""


def _meaning(kind: type[msgspec.Struct], field: str) -> str:
    notes = getattr(get_type_hints(kind, include_extras=True)[field], "__metadata__", ())
    return next((note.description for note in notes if isinstance(note, msgspec.Meta)), "") or ""


def _read_variable(variable: str, environ: Mapping[str, str]) -> str | None:
    text, file = environ.get(variable) or None, environ.get(f"{variable}_FILE") or None
    if file is None:
        return text
    if text is not None:
        raise SettingsError(f"{variable} and {variable}_FILE are both set; keep one")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}_FILE cannot be read: {error.strerror}: {file}") from None
