"""Turn errors into problem documents (RFC 9457)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web

from shared.runtime.http.accept import prefers
from shared.runtime.http.problem_types import (
    BAD_REQUEST,
    INTERNAL,
    INVALID_BODY,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REQUEST_TIMEOUT,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemType,
)
from shared.runtime.http.whole_response import WholeResponse

_log = structlog.get_logger()


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One error in a request, with a JSON `pointer` into the body (RFC 6901) or the name of a `parameter`."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """An error as the caller sees it. `status` replaces the usual status of the `kind`."""

    kind: ProblemType
    detail: str
    errors: tuple[ErrorDetail, ...] = ()
    headers: Mapping[str, str] = {}
    status: int | None = None


OAuthError = Literal["invalid_request", "invalid_client"]


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). `errors` lists each error; `request_id` identifies the request in the service's logs.

    On OAuth routes, `error` and `error_description` are those of RFC 6749 §5.2.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[ErrorDetail, ...] = ()
    request_id: str | None = None
    error: OAuthError | None = None
    error_description: str | None = None


ProblemTable = Mapping[type[Exception], Callable[[Any], Problem]]
"""Maps an exception class to a function that returns its problem. Subclasses without a row inherit it."""


class BadRequest(Exception):
    """The request cannot be read: 400."""

    def __init__(self, detail: str, *errors: ErrorDetail) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class UnsupportedMediaType(Exception):
    """The route does not support the body's media type: 415."""


class InvalidBody(Exception):
    """The body can be read, but it is not valid: 422."""

    def __init__(self, *errors: ErrorDetail) -> None:
        super().__init__("; ".join(f"{each.pointer}: {each.detail}".removeprefix(": ") for each in errors))
        self.errors = errors


RETRY_AFTER_S: Final = 1
"""The `Retry-After` of a 503 when a dependency does not respond."""


def unavailable(detail: str) -> Problem:
    """Return a 503 with `Retry-After`."""
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


RUNTIME_PROBLEMS: Final[ProblemTable] = {
    BadRequest: lambda e: Problem(BAD_REQUEST, e.detail, e.errors),
    UnsupportedMediaType: lambda e: Problem(UNSUPPORTED_MEDIA_TYPE, str(e)),
    InvalidBody: lambda e: Problem(INVALID_BODY, str(e), e.errors),
    TimeoutError: lambda _: unavailable("The request took too long and was cancelled; try again."),
}


INTERNAL_PROBLEM: Final = Problem(INTERNAL, "An internal error occurred and was logged.")


PROBLEM_JSON: Final = "application/problem+json"
OAUTH_JSON: Final = "application/json"


def problem_response(
    problem: Problem, request_id: str | None, *, oauth: bool = False, media_type: str = PROBLEM_JSON
) -> web.Response:
    """Return the problem with this media type.

    With `oauth`, a problem with a status of 4xx other than 429 is also an OAuth error (RFC 6749 §5.2).
    """
    document = problem_document(problem, request_id, oauth=oauth)
    return WholeResponse(
        status=document.status,
        body=msgspec.json.encode(document),
        content_type=media_type,
        headers=problem.headers,
    )


def oauth_media_type(request: web.Request) -> str:
    """Return the media type of errors on an OAuth route: that of RFC 6749 §5.2 unless the client prefers problems."""
    return PROBLEM_JSON if prefers(request, PROBLEM_JSON, OAUTH_JSON) else OAUTH_JSON


def problem_document(problem: Problem, request_id: str | None = None, *, oauth: bool = False) -> ProblemDocument:
    """Return the problem's document, for a response of its own or as part of one."""
    status = problem.status or problem.kind.status
    error = _oauth_error(status) if oauth else None
    return ProblemDocument(
        type=problem.kind.path,
        title=problem.kind.title,
        status=status,
        detail=problem.detail,
        errors=problem.errors,
        request_id=request_id,
        error=error,
        error_description=_plain_ascii(problem.detail) if error else None,
    )


def _oauth_error(status: int) -> OAuthError | None:
    if status == 401:
        return "invalid_client"
    return "invalid_request" if 400 <= status < 500 and status != 429 else None


def _plain_ascii(text: str) -> str:
    """Replace the characters that RFC 6749 §5.2 does not allow in an `error_description`."""
    text = text.translate({ord('"'): "'", ord("\\"): "/", ord("…"): "..."})
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def redirect_response(redirect: web.HTTPRedirection) -> web.Response:
    """Return the redirect as a response without a body."""
    return web.Response(status=redirect.status, headers={"Location": redirect.headers["Location"]})


def problem_for(error: Exception, table: ProblemTable) -> Problem:
    """Return the problem that the table has for the error; without a row, log the error and return a 500."""
    if isinstance(error, web.HTTPException):
        return _from_aiohttp(error)
    row = next((table[kind] for kind in type(error).__mro__ if kind in table), None)
    if row is None:
        _log.error("request failed", exc_info=error)
        return INTERNAL_PROBLEM
    return row(error)


def _from_aiohttp(error: web.HTTPException) -> Problem:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    usual = BAD_REQUEST if error.status < 500 else INTERNAL
    kind, detail = _OF_AIOHTTP.get(error.status, (usual, f"{error.reason}."))
    return Problem(kind, detail, headers=headers, status=error.status)


_OF_AIOHTTP: Final = {
    404: (NOT_FOUND, "No route matches this path."),
    405: (METHOD_NOT_ALLOWED, "This path does not support this method; see the Allow header."),
    408: (REQUEST_TIMEOUT, "The body did not arrive within 10 seconds."),
}
