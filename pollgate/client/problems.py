"""Turn problem documents (RFC 9457) into exceptions whose text names the arguments of the client's methods."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pollgate.client.arguments import argument_path
from pollgate.client.errors import REJECTIONS, ClientError, FieldError, OutcomeUnknown, RequestRejected

_DETAILS: Final = {
    "votes-would-be-dropped": "The change removes options that have votes; drop_votes=True removes the votes too.",
    "promises-would-be-broken": "The change would break promises to participants who have voted; to make it "
    "nevertheless, pass allow=[…] with each flag named below.",
    "invalid-poll": "The poll is not valid.",
    "invalid-ballot": "The ballot is not valid.",
    "idempotency-key-reused": "The idempotency_key was used for another request; pass another one.",
    "idempotency-key-in-use": "The same request is still being carried out; repeat the call later.",
    "rotation-in-use": "The secret of this rotation is in use or was rotated again, so it is not replaced; "
    "rotate with another idempotency_key.",
}
"""By type, for problems whose own detail names parts of the HTTP request."""

_REPEATS_ERRORS: Final = frozenset({"bad-request", "invalid-body"})
"""Types whose detail repeats what `errors` has, by pointer or parameter."""


_ITEM_DETAILS: Final = {
    "votes-would-be-dropped": "The change removes options that have votes; 'dropVotes': True in the item removes the "
    "votes too.",
    "promises-would-be-broken": "The change would break promises to participants who have voted; 'allow': […] in the "
    "item, with the flags in its errors, makes it nevertheless.",
}
"""The same for items of a batch, which have the API's names."""


class _Error(msgspec.Struct):
    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(msgspec.Struct):
    """A problem document, as far as this library reads it."""

    detail: str = ""
    type: str = ""
    title: str = ""
    errors: list[_Error] = []
    request_id: str | None = None


def read_problem(content: bytes) -> Problem:
    """Return the problem document of a response (RFC 9457); an empty one if the body is none."""
    try:
        return msgspec.json.decode(content, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Problem()


def problem_error(
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    *,
    arguments: Mapping[str, tuple[str, Any]],
    words: Mapping[str, str],
    service: str,
    url: str,
    path: str,
) -> ClientError:
    """Return the exception for a response with a status of 400 or more."""
    problem = read_problem(content)
    slug = problem.type.rpartition("/")[2]
    errors = [_field_error(each, arguments, words) for each in problem.errors]
    detail = _detail(slug, problem.detail, errors)
    message = _message(detail, errors)
    if status == 404 and slug in ("", "not-found"):
        detail = f"nothing is found at {url}{path}"
        message = f"{detail}; url must be the root of the {service}"
    kind = OutcomeUnknown if status >= 500 else REJECTIONS.get(status, RequestRejected)
    return kind(
        f"the {service} answered {status}: {message}".rstrip(": "),
        status=status,
        type=slug,
        title=problem.title,
        detail=detail,
        errors=errors,
        request_id=headers.get("X-Request-ID", problem.request_id),
        retry_after_s=_seconds(headers.get("Retry-After", "")),
        service=service,
        url=url,
    )


def item_detail(problem_type: str, detail: str) -> str:
    """Return the detail of an item's problem, in the words of a batch."""
    return _ITEM_DETAILS.get(problem_type.rpartition("/")[2], detail)


def _field_error(error: _Error, arguments: Mapping[str, tuple[str, Any]], words: Mapping[str, str]) -> FieldError:
    location = error.parameter or error.pointer or ""
    detail = error.detail
    for api_name, name in words.items():
        detail = detail.replace(api_name, name)
    return FieldError(argument_path(location, arguments), detail, error.pointer or "", error.parameter or "")


def _detail(slug: str, detail: str, errors: list[FieldError]) -> str:
    if slug in _REPEATS_ERRORS and errors:
        return "; ".join(f"{error.argument}: {error.detail}".removeprefix(": ") for error in errors)
    return _DETAILS.get(slug, detail)


def _message(detail: str, errors: list[FieldError]) -> str:
    more = [f"{error.argument}: {error.detail}" for error in errors if error.detail not in detail]
    return " ".join(filter(None, (detail, "; ".join(more))))


def _seconds(text: str) -> float | None:
    """Return the seconds of `Retry-After`; `None` for a date, which our services never send."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
