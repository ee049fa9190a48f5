"""Read a request's query strictly: malformed UTF-8 is an error and is not replaced."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from shared.runtime.http.form_fields import field_names, read_fields
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.text.times import Day, InvalidTime, read_time

S = TypeVar("S", bound=msgspec.Struct)

MAX_PARAMETERS: Final = 50


class Query:
    """The decoded parameters of a query string."""

    def __init__(self, raw: str) -> None:
        self._values: dict[str, list[str]] = {}
        if not raw:
            return
        if raw.count("&") >= MAX_PARAMETERS:
            raise BadRequest(f"The query has more than {MAX_PARAMETERS} parameters.")
        if "%" in raw or "+" in raw:
            for name, value in _read_encoded(raw):
                self._values.setdefault(name, []).append(value)
            return
        for parameter in raw.split("&"):  # as `parse_qsl` does, which also looks for escapes
            if parameter:
                name, _, value = parameter.partition("=")
                self._values.setdefault(name, []).append(value)

    @property
    def values(self) -> Mapping[str, Sequence[str]]:
        """The values by parameter."""
        return self._values

    def all(self, name: str) -> list[str]:
        """Return the values of the parameter, in order."""
        return self._values.get(name, [])

    def take(self, name: str) -> list[str]:
        """Remove the parameter and return its values, in order."""
        return self._values.pop(name, [])

    def take_all(self, names: Sequence[str]) -> list[str]:
        """Remove the parameters and return their values."""
        if not self._values:
            return []
        return [value for name in names for value in self._values.pop(name, ())]

    def optional(self, name: str) -> str:
        """Return the value, empty without the parameter. Raise `BadRequest` if it occurs twice or contains NUL."""
        values = self.all(name)
        if len(values) > 1:
            error = ErrorDetail("expected one value", parameter=name)
            raise BadRequest(f"The parameter '{name}' occurs {len(values)} times.", error)
        value = values[0] if values else ""
        if "\0" in value:
            error = ErrorDetail("remove the NUL character", parameter=name)
            raise BadRequest(f"The parameter '{name}' contains a NUL character.", error)
        return value

    def required(self, *names: str) -> Mapping[str, str]:
        """Return the values by parameter. Raise `BadRequest` with the names of those that are missing or empty."""
        values = {name: self.optional(name) for name in names}
        missing = [name for name, value in values.items() if not value]
        if missing:
            errors = [
                ErrorDetail("this parameter is required and must not be empty", parameter=name) for name in missing
            ]
            raise BadRequest(f"A required parameter is missing or empty: {', '.join(missing)}.", *errors)
        return values


def _read_encoded(raw: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(raw, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("The query is not percent-encoded UTF-8.") from None


_EMPTY: Final = Query("")
_QUERY: Final = web.RequestKey("query", Query)


def query_of(request: web.Request) -> Query:
    """Return the request's query, which is parsed only once per request. Raise `BadRequest`."""
    raw = request.rel_url.raw_query_string
    if not raw:
        return _EMPTY
    try:
        return request[_QUERY]
    except KeyError:
        query = request[_QUERY] = Query(raw)
        return query


def read_query(request: web.Request, kind: type[S], *, allow_unknown: bool = False) -> S:
    """Return the query as a `kind`, whose fields are the parameters: `?limit=10&tag=a&tag=b`.

    A list is given by repeating its parameter; booleans are `true` or `false`; `query_time` reads times. Raise
    `BadRequest` with an error for each parameter that is missing, given twice but not a list, invalid for its field, or
    contains NUL, and, unless `allow_unknown`, for each that is unknown.
    """
    texts = query_of(request).values
    found = read_fields(texts, kind, allow_unknown=allow_unknown)
    errors = [
        ErrorDetail("remove the NUL character", parameter=name)
        for name, values in texts.items()
        if "\0" in "".join(values) and not (allow_unknown and name not in field_names(kind))
    ]
    if isinstance(found, list):
        errors += [ErrorDetail(error.detail, parameter=error.name) for error in found]
    elif not errors:
        return found
    invalid = ", ".join(dict.fromkeys(f"'{each.parameter}'" for each in errors))
    raise BadRequest(f"Invalid query parameters: {invalid}.", *errors)


def query_time(parameter: str, text: str | None, *, day: Day) -> datetime | None:
    """Return the time in a parameter in UTC, `None` without one. A day alone is its first or last moment.

    Raise `BadRequest`.
    """
    try:
        return None if text is None else read_time(text, day=day)
    except InvalidTime as error:
        raise BadRequest(
            f"Invalid query parameters: '{parameter}'.", ErrorDetail(str(error), parameter=parameter)
        ) from None
