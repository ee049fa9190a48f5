"""Read the forms of pages, and refuse those that a page of another site has sent."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from shared.runtime.http.body import FORM, parse_form, require_media_type
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.validation_errors import pointer_to

FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
MAX_FIELDS: Final = 1200
"""The most fields that the form of a page may have: a hundred scopes, each with a place and seven boxes."""


class ForgedForm(Exception):
    """A page of another site has sent the form, or its session is another one. The message says what to do."""


class Form:
    """The fields of a form, in the order in which they were sent."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """Return the first value of a field without blanks around it, with LF between lines, or an empty text."""
        return self.raw(name).strip().replace("\r\n", "\n")

    def raw(self, name: str) -> str:
        """Return the first value of a field as it was sent."""
        return self._values.get(name, ("",))[0]

    def all(self, name: str) -> Sequence[str]:
        """Return all values of a field."""
        return self._values.get(name, ())

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The name and the value of each field."""
        return [(name, text) for name, texts in self._values.items() for text in texts]

    def has(self, name: str) -> bool:
        """Return whether the field was sent, as a checked box or a pressed button is."""
        return name in self._values


async def read_form(request: web.Request) -> Form:
    """Return the form in the body. Raise `BadRequest` or `UnsupportedMediaType`."""
    require_media_type(request, FORM)
    values = parse_form(await request.read(), MAX_FIELDS)
    for name, texts in values.items():
        if "\0" in name or any("\0" in text for text in texts):
            error = ErrorDetail("remove the NUL character", pointer=pointer_to([name]))
            raise BadRequest("A field of the form contains a NUL character.", error)
    return Form(values)


def require_same_origin(request: web.Request, origin: str) -> None:
    """Raise `ForgedForm` unless a page of this service has sent the request (Fetch Metadata, RFC 6454 §7).

    `origin` is the public URL of the service. A proxy in front may change the Host header, so both count.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site != "same-origin":
            raise ForgedForm(_FROM_ELSEWHERE)
        return
    try:
        sent = urlsplit(request.headers.get(hdrs.ORIGIN, "")).netloc
    except ValueError:
        sent = ""
    if not sent or sent not in (request.host, urlsplit(origin).netloc):
        raise ForgedForm(_FROM_ELSEWHERE)


def form_token(session_secret: str) -> str:
    """Return the token that every form of a session contains. It does not reveal the secret of the session."""
    digest = hmac.digest(session_secret.encode(), b"form token", hashlib.sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def require_form_token(form: Form, session_secret: str) -> None:
    """Raise `ForgedForm` unless the form is one of this session."""
    if not hmac.compare_digest(form.raw(FORM_TOKEN).encode(), form_token(session_secret).encode()):
        raise ForgedForm("This form belongs to another session. Nothing was changed. Open it again and repeat it.")


_FROM_ELSEWHERE: Final = (
    "The form was not sent by a page of this service, so nothing was changed. Open the page here and repeat it."
)
