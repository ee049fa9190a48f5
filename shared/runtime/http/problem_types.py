"""The kinds of problems: what each means to the caller and what it can do, and those that any service can tell."""

from typing import Final

from msgspec import Struct

PROBLEMS_ROUTE: Final = "/docs/problems"
"""Below it each kind has its page."""


class ProblemType(Struct, frozen=True):
    """One kind of problem. `slug` ends its `type`, which stays stable over releases; `status` is its usual one.

    `meaning` and `remedy` are what its page says: what has happened, and what the caller can do about it.
    """

    slug: str
    status: int
    title: str
    meaning: str
    remedy: str

    @property
    def path(self) -> str:
        """The `type` of its documents, under which its page is."""
        return f"{PROBLEMS_ROUTE}/{self.slug}"


BAD_REQUEST: Final = ProblemType(
    slug="bad-request",
    status=400,
    title="Bad request",
    meaning="The request can be received but not understood: its query, a header or the syntax of its body is not "
    "what this route reads.",
    remedy="Read `detail`, and `errors` for each parameter or field that is wrong; correct these and send the request "
    "again. The same request will fail again.",
)
MALFORMED_REQUEST: Final = ProblemType(
    slug="malformed-request",
    status=400,
    title="Malformed request",
    meaning="What arrived is not well-formed HTTP/1.1, or its first line or a header is too long. The connection is "
    "closed.",
    remedy="Build requests with an HTTP library rather than by hand, percent-encode what goes into the URL, and keep "
    "the URL and each header below 8 KiB.",
)
NOT_FOUND: Final = ProblemType(
    slug="not-found",
    status=404,
    title="Not Found",
    meaning="The service has no route at this path.",
    remedy="Compare the path with the documentation under `/docs`: a slash at the end, a capital letter or a missing "
    "version makes it another one.",
)
METHOD_NOT_ALLOWED: Final = ProblemType(
    slug="method-not-allowed",
    status=405,
    title="Method Not Allowed",
    meaning="The path is there, but not for this method.",
    remedy="Use one of the methods that the `Allow` header names.",
)
REQUEST_TIMEOUT: Final = ProblemType(
    slug="request-timeout",
    status=408,
    title="Request Timeout",
    meaning="The body had not arrived in full when the time for it was over, so the request was not handled.",
    remedy="Send the body at once and see that `Content-Length` is right; over a bad connection, try again.",
)
REQUEST_ENTITY_TOO_LARGE: Final = ProblemType(
    slug="request-entity-too-large",
    status=413,
    title="Request Entity Too Large",
    meaning="The body is larger than the service reads, so the request was not handled.",
    remedy="Send less at once; `detail` says how much is read.",
)
UNSUPPORTED_MEDIA_TYPE: Final = ProblemType(
    slug="unsupported-media-type",
    status=415,
    title="Unsupported media type",
    meaning="The body is said to be of a media type, or to be encoded in a way, that this route does not read.",
    remedy="Set `Content-Type` to what `detail` names, and send the body without a `Content-Encoding`.",
)
EXPECTATION_FAILED: Final = ProblemType(
    slug="expectation-failed",
    status=417,
    title="Expectation failed",
    meaning="The `Expect` header asks for something that the service does not do.",
    remedy="Leave the header out, or send `Expect: 100-continue`.",
)
INVALID_BODY: Final = ProblemType(
    slug="invalid-body",
    status=422,
    title="Invalid body",
    meaning="The body can be read, and something in it breaks a rule: a field is missing, unknown, or of a value that "
    "is not allowed.",
    remedy="Go through `errors`: each `pointer` leads to a field and each `detail` says what would be right. Correct "
    "these and send the request again.",
)
INTERNAL: Final = ProblemType(
    slug="internal",
    status=500,
    title="Internal error",
    meaning="Something has gone wrong in the service that is no fault of the request. Whether it was carried out is "
    "not certain.",
    remedy="Look at what is there before sending it again; if it stays, tell those who run the service the "
    "`request_id`, by which they find it in their logs.",
)
UNAVAILABLE: Final = ProblemType(
    slug="unavailable",
    status=503,
    title="Temporarily unavailable",
    meaning="Something that the service needs does not answer at the moment, or not in time. It will not guess, so it "
    "refuses.",
    remedy="Try again after the seconds in `Retry-After`, and wait longer each time. A request that makes something "
    "may have been carried out: repeat it with its `Idempotency-Key` where the route takes one.",
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
    INTERNAL,
    UNAVAILABLE,
)
"""What any service can tell."""
