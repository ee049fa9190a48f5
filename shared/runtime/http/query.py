"""A request's query, read strictly: what is not UTF-8 is an error instead of a guess."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from shared.runtime.http.form_fields import read_fields
from shared.runtime.http.problem import BadRequest, ErrorDetail

S = TypeVar("S", bound=msgspec.Struct)

MAX_PARAMETERS: Final = 50


class Query:
    """The decoded parameters of a query string, in which a parameter may stand once."""

    def __init__(self, raw: str) -> None:
        try:
            pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
        except UnicodeDecodeError:
            raise BadRequest("The query is not percent-encoded UTF-8.") from None
        except ValueError:
            raise BadRequest(f"The query has more than {MAX_PARAMETERS} parameters.") from None
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    @property
    def values(self) -> Mapping[str, Sequence[str]]:
        """Every value of every parameter."""
        return self._values

    def all(self, name: str) -> list[str]:
        """Every value of the parameter, in order."""
        return self._values.get(name, [])

    def take(self, name: str) -> list[str]:
        """Every value of the parameter, in order, which from now on is not there."""
        return self._values.pop(name, [])

    def optional(self, name: str) -> str:
        """The parameter's value, empty where it is absent. Raises `BadRequest` where it stands twice or holds NUL."""
        values = self.all(name)
        if len(values) > 1:
            raise BadRequest(f"The parameter '{name}' is given {len(values)} times.", _once(name))
        value = values[0] if values else ""
        if "\0" in value:
            raise BadRequest(f"The parameter '{name}' holds a NUL character.", ErrorDetail("remove it", parameter=name))
        return value

    def required(self, *names: str) -> Mapping[str, str]:
        """The parameters' values. Raises `BadRequest` that names every one that is absent or empty."""
        values = {name: self.optional(name) for name in names}
        missing = [name for name, value in values.items() if not value]
        if missing:
            errors = [
                ErrorDetail("this parameter is required and may not be empty", parameter=name) for name in missing
            ]
            raise BadRequest(f"A required parameter is missing or empty: {', '.join(missing)}.", *errors)
        return values


_QUERY: Final = web.RequestKey("query", Query)


def query_of(request: web.Request) -> Query:
    """The request's query, parsed once however many ask. Raises `BadRequest`."""
    if _QUERY not in request:
        request[_QUERY] = Query(request.rel_url.raw_query_string)
    return request[_QUERY]


def read_query(request: web.Request, kind: type[S], *, allow_unknown: bool = False) -> S:
    """Return the query as a `kind`, whose fields are the parameters: `?limit=10&tag=a&tag=b`.

    A list is given by repeating its parameter; times are RFC 3339, booleans `true` or `false`. Raise `BadRequest` with
    an error for each parameter that is missing, given twice but not a list, invalid for its field, or contains NUL,
    and, unless `allow_unknown`, for each that is unknown.
    """
    texts = query_of(request).values
    if allow_unknown:
        known = {field.encode_name for field in msgspec.structs.fields(kind)}
        texts = {name: values for name, values in texts.items() if name in known}
    found = read_fields(texts, kind)
    errors = [ErrorDetail("remove the NUL character", parameter=name) for name in texts if "\0" in "".join(texts[name])]
    if isinstance(found, list):
        errors += [ErrorDetail(error.detail, parameter=error.name) for error in found]
    elif not errors:
        return found
    names = ", ".join(dict.fromkeys(f"'{each.parameter}'" for each in errors))
    raise BadRequest(f"The query is not what this route reads; see {names}.", *errors)


def _once(name: str) -> ErrorDetail:
    return ErrorDetail("give this parameter once", parameter=name)
