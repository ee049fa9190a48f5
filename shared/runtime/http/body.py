"""Read a request's body as a typed value, or raise an error that points at each invalid field."""

from typing import Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from shared.runtime.http.form_fields import read_fields
from shared.runtime.http.i_json import LEAST_INT64, MOST_INT64, find_wide_numbers, require_i_json
from shared.runtime.http.path import has_bad_escape
from shared.runtime.http.problem import BadRequest, ErrorDetail, InvalidBody, UnsupportedMediaType
from shared.runtime.http.type_names import shorten
from shared.runtime.http.validation_errors import pointer_to, validation_errors

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 20
"""The most fields that a form may have."""


def read_json(body: bytes, kind: type[T]) -> T:
    """Decode and validate a JSON body.

    Raise `BadRequest` if it is not I-JSON. Raise `InvalidBody` if it is not a `kind`, with an error for each invalid
    top-level field.
    """
    has_wide_numbers = require_i_json(body)
    try:
        value = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(*validation_errors(body, kind, error)) from None
    if has_wide_numbers:
        _require_narrow_numbers(value)
    return value


async def read_json_if_any(request: web.Request, kind: type[T]) -> T:
    """Return the body as a `kind`, whose fields all have defaults; without a body, return `kind()`.

    Raise what `read_json` and `require_media_type` raise.
    """
    body = await request.read()
    if not body:
        return kind()
    require_media_type(request, JSON)
    return read_json(body, kind)


def read_form(body: bytes, kind: type[S]) -> S:
    """Read an `application/x-www-form-urlencoded` body as a `kind`.

    Ignore unknown fields unless `kind` forbids them. Raise `BadRequest` with an error for each invalid field.
    """
    fields = parse_form(body, MAX_FIELDS)
    found = read_fields(fields, kind, allow_unknown=not kind.__struct_config__.forbid_unknown_fields)
    if isinstance(found, list):
        names = ", ".join(f"'{shorten(error.name)}'" for error in found)
        errors = [ErrorDetail(error.detail, pointer=pointer_to([error.name])) for error in found]
        raise BadRequest(f"Invalid form fields: {names}.", *errors)
    return found


def parse_form(body: bytes, max_fields: int) -> dict[str, list[str]]:
    """Return the values of an `application/x-www-form-urlencoded` body by field. Raise `BadRequest`."""
    if has_bad_escape(body.decode("latin-1")):
        raise BadRequest("The body is not a form: malformed percent-encoding; write '%' as %25.")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=max_fields)
    except ValueError:
        raise BadRequest(
            f"The body is not a form: expected percent-encoded UTF-8 and at most {max_fields} fields."
        ) from None


def require_media_type(request: web.Request, *media_types: str) -> None:
    """Raise `UnsupportedMediaType` unless the Content-Type header has one of these types."""
    if not any(is_of_media_type(request, media_type) for media_type in media_types):
        expected = " or ".join(media_types)
        raise UnsupportedMediaType(f"Unsupported media type: expected the Content-Type {expected}.")


def is_of_media_type(request: web.Request, media_type: str) -> bool:
    """Return whether the Content-Type header has this type, whatever its parameters."""
    sent = request.headers.get("Content-Type", "").partition(";")[0]  # aiohttp's parser fails on malformed parameters
    return sent.strip().lower() == media_type


def _require_narrow_numbers(value: object) -> None:
    """Raise `InvalidBody` for integers of more than 64 bits: databases and other programs cannot store them."""
    expected = f"expected a whole number from {LEAST_INT64} to {MOST_INT64}"
    errors = [ErrorDetail(expected, pointer_to(path)) for path in find_wide_numbers(msgspec.json.encode(value))]
    if errors:
        raise InvalidBody(*errors)
