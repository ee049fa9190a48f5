"""A request's body as a typed value, or a problem that points at what is wrong with it."""

import re
from typing import Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from shared.runtime.problem import BadRequest, Fault, InvalidBody, UnsupportedMediaType

T = TypeVar("T")

MAX_FIELDS: Final = 20


def read_json(body: bytes, kind: type[T]) -> T:
    """Decode and validate. Raises `BadRequest` for what is not JSON, `InvalidBody` for what is not a `kind`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(_fault(str(error))) from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8, from byte {error.start + 1} on.") from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}." if body else "The body is empty.") from None
    except RecursionError:
        raise BadRequest("The body nests too deeply.") from None


def read_form_field(body: bytes, name: str) -> str:
    """One field of an `application/x-www-form-urlencoded` body. Raises `BadRequest` unless it stands there once."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadRequest("The body is not a form: percent-encoded UTF-8, a few fields.") from None
    values = fields.get(name, [])
    if len(values) != 1 or not values[0]:
        fault = Fault("give this field once, and not empty", pointer=f"/{name}")
        raise BadRequest(f"The form has to hold the field '{name}' once.", fault)
    return values[0]


def require_media_type(request: web.Request, media_type: str) -> None:
    """Raises `UnsupportedMediaType` where the request says that its body is of another type."""
    sent = request.headers.get("Content-Type", "").partition(";")[0]  # aiohttp's own parser fails on odd parameters
    if sent.strip().lower() != media_type:
        raise UnsupportedMediaType(f"This route reads {media_type}; set the Content-Type header to that.")


_PATH: Final = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def _fault(message: str) -> Fault:
    """Turns msgspec's "Expected `str`, got `int` - at `$.options[0].id`" into a fault with a JSON pointer."""
    match = _PATH.match(message)
    reason, path = (match["reason"], match["path"] or "") if match else (message, "")
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(path))
    return Fault(_REMEDIES.get(reason) or reason.replace("`", "'"), pointer=pointer)


_REMEDIES: Final = {
    "Invalid RFC3339 encoded datetime": "a time as RFC 3339 has it, such as 2026-11-30T12:00:00Z",
    "Expected `datetime` with a timezone component": "a time with its offset, such as 2026-11-30T12:00:00Z",
}
"""What would be right, where msgspec's own words do not say it."""
