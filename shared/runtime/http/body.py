"""A request's body as a typed value, or a problem that points at what is wrong with it."""

from itertools import islice
from typing import Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from shared.runtime.http.form_fields import read_fields
from shared.runtime.http.i_json import LEAST_INT64, MOST_INT64, require_i_json, wide_numbers
from shared.runtime.http.problem import BadRequest, ErrorDetail, InvalidBody, UnsupportedMediaType
from shared.runtime.http.type_names import shortened
from shared.runtime.http.validation_errors import MAX_ERRORS, faults_of, pointer_to

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 20


def read_json(body: bytes, kind: type[T]) -> T:
    """Decode and validate. Raises `BadRequest` for what is not I-JSON, `InvalidBody` for what is not a `kind`.

    Of an object, every outermost field that is wrong is told.
    """
    has_wide_numbers = require_i_json(body)
    try:
        value = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(*faults_of(body, kind, error)) from None
    if has_wide_numbers:
        _require_narrow_numbers(value)
    return value


async def read_json_if_any(request: web.Request, kind: type[T]) -> T:
    """The body as a `kind` of which every field has a default; without a body, all of these.

    Raises what `read_json` and `require_media_type` raise.
    """
    body = await request.read()
    if not body:
        return kind()
    require_media_type(request, JSON)
    return read_json(body, kind)


def read_form(body: bytes, kind: type[S]) -> S:
    """An `application/x-www-form-urlencoded` body as a `kind`.

    Unknown fields are passed over unless `kind` forbids them. Raises `BadRequest` with every fault.
    """
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadRequest("The body is not a form: percent-encoded UTF-8, a few fields.") from None
    found = read_fields(fields, kind, allow_unknown=not kind.__struct_config__.forbid_unknown_fields)
    if isinstance(found, list):
        names = ", ".join(f"'{shortened(misread.name)}'" for misread in found)
        errors = [ErrorDetail(misread.detail, pointer=pointer_to([misread.name])) for misread in found]
        raise BadRequest(f"The form is not what this route reads; see {names}.", *errors)
    return found


def require_media_type(request: web.Request, *media_types: str) -> None:
    """Raises `UnsupportedMediaType` where the request says that its body is of none of these types."""
    if not any(is_of_media_type(request, media_type) for media_type in media_types):
        read = " or ".join(media_types)
        raise UnsupportedMediaType(f"This route reads {read}; set the Content-Type header to that.")


def is_of_media_type(request: web.Request, media_type: str) -> bool:
    """Whether the request says that its body is of this type."""
    sent = request.headers.get("Content-Type", "").partition(";")[0]  # aiohttp's own parser fails on odd parameters
    return sent.strip().lower() == media_type


def _require_narrow_numbers(value: object) -> None:
    """Of what a `kind` without bounds takes, for there is no room for more in a database or another's integers."""
    ways = islice(wide_numbers(msgspec.to_builtins(value)), MAX_ERRORS)
    errors = [
        ErrorDetail(f"expected a whole number from {LEAST_INT64} to {MOST_INT64}", pointer_to(way)) for way in ways
    ]
    if errors:
        raise InvalidBody(*errors)
