"""The exceptions that the client library raises. They name arguments of its methods, and never contain a secret.

```text
ClientError
├── InvalidArgument          an argument is wrong; nothing was sent (also a ValueError)
├── ConnectionFailed         no connection; nothing was sent
├── OutcomeUnknown           sent, but the response was lost or is a 5xx
├── UnexpectedResponse       the URL does not lead to this service: a redirect, or a response of another kind
└── RequestRejected          the service refused the request (4xx) and changed nothing
    ├── Unauthorized         401
    ├── Forbidden            403
    ├── NotFound             404
    ├── Conflict             409
    ├── PreconditionFailed   412
    ├── UnprocessableContent 422
    └── RateLimited          429
```

A `str` where a list of texts belongs raises `TypeError`, and a client outside its `async with` block `RuntimeError`.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple


class FieldError(NamedTuple):
    """One wrong value: the `argument` that contains it, such as `option_ids[0]`, and in `detail` what is wrong.

    `pointer` (a JSON pointer into the body) or `parameter` (of the query) is where the API reports it.
    """

    argument: str
    detail: str
    pointer: str = ""
    parameter: str = ""


class ClientError(Exception):
    """Base of all errors of a request. What is unknown is `None` or empty.

    Attributes:
        status: HTTP status of the response.
        type: last segment of the problem's type, such as `unknown-poll`; each has a page under `/docs/problems/`.
        title: short name of the problem.
        detail: what is wrong with this request.
        errors: each wrong value, by the argument that contains it.
        request_id: the response's `X-Request-ID`, by which operators find the request in the service's logs.
        retry_after_s: seconds to wait before another attempt, from `Retry-After`.
        service: name of the service that the request was for.
        url: base URL of that service.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str = "",  # noqa: A002 - the member's name in RFC 9457
        title: str = "",
        detail: str = "",
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
        service: str = "",
        url: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail or message
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.service = service
        self.url = url


class InvalidArgument(ClientError, ValueError):
    """The value of `argument` cannot be sent. The value is not repeated, because it may be a secret."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(f"{argument}: {reason}", detail=reason, errors=(FieldError(argument, reason),))
        self.argument = argument


class ConnectionFailed(ClientError):
    """No connection to the service could be made, so the request was not sent.

    `reason` names the network error, and `explanation` says what it means.
    """

    reason = ""
    explanation = ""


class OutcomeUnknown(ClientError):
    """The request was sent and may have been carried out: its response was lost, or reports a failure of the service.

    `reason` names the network error, where there was no response, and `explanation` says what it means. Where the
    request was a change, `consequence` says what may have happened, and `is_repeatable` whether the same call again
    does no harm.
    """

    reason = ""
    explanation = ""
    consequence = ""
    is_repeatable = True

    def __str__(self) -> str:
        return "; ".join(filter(None, (super().__str__(), self.consequence)))


class UnexpectedResponse(ClientError):
    """The response is not one of this service: a redirect, which is not followed, or content of another kind."""


class RequestRejected(ClientError):
    """The service refused the request and changed nothing."""


class Unauthorized(RequestRejected):
    """401: the token or admin key is unknown, expired, disabled or revoked."""


class Forbidden(RequestRejected):
    """403: the token or admin key is valid, but does not allow this; `detail` names the missing scope."""


class NotFound(RequestRejected):
    """404: the resource does not exist, or the token or admin key has no access to it."""


class Conflict(RequestRejected):
    """409: the state of the resource does not allow the request; `type` says why, such as `already-voted`."""


class PreconditionFailed(RequestRejected):
    """412: the poll no longer has the ETag that was passed as `if_match`."""


class UnprocessableContent(RequestRejected):
    """422: values break a rule; `errors` lists each."""


class RateLimited(RequestRejected):
    """429: too many requests or streams; `retry_after_s` says how long to wait."""


REJECTIONS: Final[dict[int, type[RequestRejected]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    422: UnprocessableContent,
    429: RateLimited,
}
"""The exception for each status that has its own."""


@contextmanager
def if_outcome_unknown(consequence: str, *, is_repeatable: bool = False) -> Generator[None, None, None]:
    """Set in an `OutcomeUnknown` that the block raises what may have happened."""
    try:
        yield
    except OutcomeUnknown as error:
        error.consequence, error.is_repeatable = consequence, is_repeatable
        raise
