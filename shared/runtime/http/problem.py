"""Errors as problem documents (RFC 9457): what is wrong, where, and what would be right."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web

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

_log = structlog.get_logger()


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with a request: `pointer` into the body (RFC 6901), or a query `parameter`."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """What an error looks like to the caller: its kind, told with the kind's usual status where `status` is `None`."""

    kind: ProblemType
    detail: str
    errors: tuple[ErrorDetail, ...] = ()
    headers: Mapping[str, str] = {}
    status: int | None = None


OAuthError = Literal["invalid_request", "invalid_client"]


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). `errors` says each thing that is wrong; `request_id` finds the request in our logs.

    Where OAuth clients call, `error` and `error_description` say it in the words that they know (RFC 6749 §5.2).
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
"""From an error to the problem it is told as; a base class stands for its subclasses that have no row."""


class BadRequest(Exception):
    """The request cannot be read: 400."""

    def __init__(self, detail: str, *errors: ErrorDetail) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class UnsupportedMediaType(Exception):
    """The body is of a type that this route does not read: 415."""


class InvalidBody(Exception):
    """The body can be read and breaks a rule: 422."""

    def __init__(self, *errors: ErrorDetail) -> None:
        super().__init__("; ".join(f"{each.pointer}: {each.detail}".removeprefix(": ") for each in errors))
        self.errors = errors


RETRY_AFTER_S: Final = 1
"""How long a caller is told to wait where something that we need does not answer."""


def unavailable(detail: str) -> Problem:
    """503, to be tried again."""
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


RUNTIME_PROBLEMS: Final[ProblemTable] = {
    BadRequest: lambda e: Problem(BAD_REQUEST, e.detail, e.errors),
    UnsupportedMediaType: lambda e: Problem(UNSUPPORTED_MEDIA_TYPE, str(e)),
    InvalidBody: lambda e: Problem(INVALID_BODY, str(e), e.errors),
    TimeoutError: lambda _: unavailable("The request took too long and was given up; try again."),
}


INTERNAL_PROBLEM: Final = Problem(INTERNAL, "The fault is ours and has been logged.")


def problem_response(problem: Problem, request_id: str | None, *, oauth: bool = False) -> web.Response:
    """The problem as `application/problem+json`, carrying the request's id where it has one.

    With `oauth` it is also an OAuth error (RFC 6749 §5.2), if it is one that the caller can do something about.
    """
    document = problem_document(problem, request_id, oauth=oauth)
    return web.Response(
        status=document.status,
        body=msgspec.json.encode(document),
        content_type="application/problem+json",
        headers=problem.headers,
    )


def problem_document(problem: Problem, request_id: str | None = None, *, oauth: bool = False) -> ProblemDocument:
    """The problem as it is told, by itself or as a part of an answer."""
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
    """The text without what RFC 6749 §5.2 keeps out of an `error_description`."""
    text = text.translate({ord('"'): "'", ord("\\"): "/", ord("…"): "..."})
    return "".join(character if " " <= character <= "~" else "?" for character in text)


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
    404: (NOT_FOUND, "Nothing is found under this path."),
    405: (METHOD_NOT_ALLOWED, "This path does not know this method; the Allow header names those it knows."),
    408: (REQUEST_TIMEOUT, "The body did not arrive within 10 seconds."),
}
