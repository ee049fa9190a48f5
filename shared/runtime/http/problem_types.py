"""The type of a problem, with its meaning and remedy, and the problem types of every service."""

from typing import Final

from msgspec import Struct

PROBLEMS_ROUTE: Final = "/docs/problems"
"""Each problem type has a page under this path."""


class ProblemType(Struct, frozen=True):
    """A type of problem. `slug` is the end of its URI, which is stable over releases; `status` is the usual one.

    `meaning` and `remedy` are shown on its page: what happened, and what the caller can do.
    """

    slug: str
    status: int
    title: str
    meaning: str
    remedy: str

    @property
    def path(self) -> str:
        """The `type` of its documents, and the path of its page."""
        return f"{PROBLEMS_ROUTE}/{self.slug}"


BAD_REQUEST: Final = ProblemType(
    slug="bad-request",
    status=400,
    title="Bad request",
    meaning="The request is invalid: its query, a header, or the syntax of its body.",
    remedy="Read `detail`, and `errors` for each invalid parameter or field. Correct these and send the request again. "
    "The unchanged request will fail again.",
)
MALFORMED_REQUEST: Final = ProblemType(
    slug="malformed-request",
    status=400,
    title="Malformed request",
    meaning="The request is not well-formed HTTP/1.1, or its first line or a header is too long. The connection is "
    "closed.",
    remedy="Build requests with an HTTP library, percent-encode values in the URL, and keep the URL and each header "
    "below 8 KiB.",
)
NOT_FOUND: Final = ProblemType(
    slug="not-found",
    status=404,
    title="Not Found",
    meaning="The service has no route at this path.",
    remedy="Compare the path with the documentation under `/docs`. Check for a slash at the end, capital letters and a "
    "missing version.",
)
METHOD_NOT_ALLOWED: Final = ProblemType(
    slug="method-not-allowed",
    status=405,
    title="Method Not Allowed",
    meaning="The path exists, but it does not support this method.",
    remedy="Use one of the methods in the `Allow` header.",
)
REQUEST_TIMEOUT: Final = ProblemType(
    slug="request-timeout",
    status=408,
    title="Request Timeout",
    meaning="The body did not arrive in time, so the request was not handled.",
    remedy="Send the body without a pause and check `Content-Length`. On a slow connection, try again.",
)
REQUEST_ENTITY_TOO_LARGE: Final = ProblemType(
    slug="request-entity-too-large",
    status=413,
    title="Request Entity Too Large",
    meaning="The body is larger than the limit of the route, so the request was not handled.",
    remedy="Send less per request. `detail` says the limit.",
)
UNSUPPORTED_MEDIA_TYPE: Final = ProblemType(
    slug="unsupported-media-type",
    status=415,
    title="Unsupported media type",
    meaning="The route does not support the body's media type or its `Content-Encoding`.",
    remedy="Set `Content-Type` to a type in `detail`, and send the body without a `Content-Encoding`.",
)
EXPECTATION_FAILED: Final = ProblemType(
    slug="expectation-failed",
    status=417,
    title="Expectation failed",
    meaning="The service does not support the expectation in the `Expect` header.",
    remedy="Omit the header, or send `Expect: 100-continue`.",
)
INVALID_BODY: Final = ProblemType(
    slug="invalid-body",
    status=422,
    title="Invalid body",
    meaning="The body can be read, but it is not valid: a field is missing, unknown, or has a value that is not "
    "allowed.",
    remedy="Read `errors`: each `pointer` points at a field and each `detail` says what is expected. Correct the "
    "fields and send the request again.",
)
TOO_MANY_REQUESTS: Final = ProblemType(
    slug="too-many-requests",
    status=429,
    title="Too many requests",
    meaning="Your address has sent more requests to routes without a credential than are allowed per minute.",
    remedy="Wait for the seconds in `Retry-After`, and send fewer requests. Keep what you have read: documents and "
    "keys change rarely. Requests with a valid credential are not limited.",
)
INTERNAL: Final = ProblemType(
    slug="internal",
    status=500,
    title="Internal error",
    meaning="An error in the service, not in the request. It is unknown whether the request had an effect.",
    remedy="Check the state before you send the request again. If the error persists, report the `request_id` to the "
    "operator of the service, who can find it in the logs.",
)
UNAVAILABLE: Final = ProblemType(
    slug="unavailable",
    status=503,
    title="Temporarily unavailable",
    meaning="A dependency of the service does not respond, or not in time. The request was refused.",
    remedy="Try again after the seconds in `Retry-After`, and wait longer each time. A request that creates something "
    "may have had its effect: repeat it with the same `Idempotency-Key` if the route accepts one.",
)

RUNTIME_PROBLEM_TYPES: Final = (
    BAD_REQUEST,
    MALFORMED_REQUEST,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    REQUEST_ENTITY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    EXPECTATION_FAILED,
    INVALID_BODY,
    TOO_MANY_REQUESTS,
    INTERNAL,
    UNAVAILABLE,
)
"""The problem types of every service."""
