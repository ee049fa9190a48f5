"""The problem of each guard error. A service can replace a row for its own routes. `challenge.py` has its challenge."""

from typing import Final

from shared.guard.errors import (
    AddressNotAllowed,
    BatchOverRateLimit,
    GuardUnavailable,
    InsufficientScope,
    QueryNotAllowed,
    QueryOfPage,
    QueryUnreadable,
    RateLimited,
    TicketInvalid,
    TicketsUnavailable,
    TokenInvalid,
    TokenMissing,
    TokenTwice,
    TooManyUnknownTokens,
)
from shared.guard.tickets import TICKET_LIFE_S
from shared.runtime.http.problem import Problem, ProblemTable, unavailable
from shared.runtime.http.problem_types import BAD_REQUEST, ProblemType

UNAUTHORIZED: Final = ProblemType(
    "unauthorized",
    401,
    "Unauthorized",
    meaning="The request has no access token, or one that does not work. If the token is mistyped or cut off, `detail` "
    "says so. Otherwise the response does not say whether it is unknown, disabled, expired or revoked.",
    remedy="Send the token as `Authorization: Bearer …`. If you did, send it to `GET /v1/token` of the token "
    "authority, at the address in `detail`, to see why it does not work. If it has ended, ask the issuer for a new "
    "one; repeating the request does not help.",
)
TOKEN_TWICE: Final = ProblemType(
    "token-twice",
    400,
    "Bad request",
    meaning="The request has more than one access token, so it is ambiguous (RFC 6750 §2).",
    remedy="Send the token once: as `Authorization: Bearer …`, as `?access_token=…` or as `?token=…`.",
)
QUERY_NOT_ALLOWED: Final = ProblemType(
    "query-not-allowed",
    403,
    "Forbidden",
    meaning="The access token works, but must not be sent in a URL, because URLs are kept in logs and histories.",
    remedy="Send the token as `Authorization: Bearer …`. It has now been sent in a URL: if other people can read the "
    "logs, rotate it.",
)
ADDRESS_NOT_ALLOWED: Final = ProblemType(
    "address-not-allowed",
    403,
    "Forbidden",
    meaning="The access token works, but not from the IP address of this request.",
    remedy="Send the request from one of the token's networks, or ask the issuer for a token that works from your "
    "address.",
)
RATE_LIMITED: Final = ProblemType(
    "rate-limited",
    429,
    "Too many requests",
    meaning="The access token has reached its limit of requests per minute, or fewer are left than a batch has items. "
    "The request was not processed.",
    remedy="Wait for the number of seconds in `Retry-After`, then send the request again. The `RateLimit` header says "
    "how many requests are left.",
)
BATCH_OVER_RATE_LIMIT: Final = ProblemType(
    "batch-over-rate-limit",
    422,
    "Batch too large",
    meaning="Each item of a batch counts as a request, and the batch has more items than the access token may send "
    "per minute. Nothing was done.",
    remedy="Send fewer items at once, as `detail` says, or ask the issuer for a token with a higher rate limit. "
    "Waiting does not help.",
)
TOO_MANY_ATTEMPTS: Final = ProblemType(
    "too-many-attempts",
    429,
    "Too many requests",
    meaning="Within a minute, too many access tokens that do not work were sent from this address, or too many new "
    "ones at once. Working tokens are still accepted, in their turn.",
    remedy="Correct the token that the client sends, and wait for the number of seconds in `Retry-After`.",
)
INSUFFICIENT_SCOPE: Final = ProblemType(
    "insufficient-scope",
    403,
    "Forbidden",
    meaning="The access token works, but none of its scopes covers this action at this place.",
    remedy="`detail` and `WWW-Authenticate` name the missing scope. Ask the issuer for a token with that scope. If the "
    "place is misspelled, correct it.",
)

GUARD_PROBLEM_TYPES: Final = (
    UNAUTHORIZED,
    TOKEN_TWICE,
    QUERY_NOT_ALLOWED,
    ADDRESS_NOT_ALLOWED,
    RATE_LIMITED,
    BATCH_OVER_RATE_LIMIT,
    TOO_MANY_ATTEMPTS,
    INSUFFICIENT_SCOPE,
)
"""The problem types that a guarded service adds to its own."""


def _rate_limited(error: RateLimited) -> Problem:
    wait = str(error.retry_after_s)
    rule = f"Rate limit reached: {error.limit} request{'s' * (error.limit != 1)} per minute"
    if error.cost > 1:
        rule += f", and this batch counts as {error.cost}"
    detail = f"{rule}. Try again in {wait} s."
    return Problem(RATE_LIMITED, detail, headers={"Retry-After": wait})


def _too_many_unknown_tokens(error: TooManyUnknownTokens) -> Problem:
    wait = str(error.retry_after_s)
    rule = (
        "Too many new access tokens are being checked for this address at once"
        if error.limit is None
        else f"At most {error.limit} access tokens per minute that do not work are allowed from one address"
    )
    return Problem(TOO_MANY_ATTEMPTS, f"{rule}; try again in {wait} s.", headers={"Retry-After": wait})


GUARD_PROBLEMS: Final[ProblemTable] = {
    TokenMissing: lambda _: Problem(
        UNAUTHORIZED, "Missing access token: send it as 'Authorization: Bearer …' or as '?token=…'."
    ),
    TokenInvalid: lambda e: Problem(UNAUTHORIZED, str(e)),
    QueryUnreadable: lambda e: Problem(BAD_REQUEST, str(e)),
    TokenTwice: lambda _: Problem(TOKEN_TWICE, "More than one access token: send the token once, in one place."),
    QueryNotAllowed: lambda _: Problem(
        QUERY_NOT_ALLOWED, "This access token must not be sent in a URL; send it as 'Authorization: Bearer …'."
    ),
    QueryOfPage: lambda _: Problem(
        QUERY_NOT_ALLOWED,
        "A page must not send its access token in a URL; send it as 'Authorization: Bearer …'. For an EventSource, get "
        "a ticket, and send that as '?ticket=…'.",
    ),
    TicketInvalid: lambda _: Problem(
        UNAUTHORIZED,
        f"Invalid ticket: a ticket works once, within {TICKET_LIFE_S} seconds, for one stream. Get a new one.",
    ),
    TicketsUnavailable: lambda _: unavailable(
        "Stream tickets are not available at the moment; try again, or send the token as 'Authorization: Bearer …'."
    ),
    AddressNotAllowed: lambda e: Problem(
        ADDRESS_NOT_ALLOWED, f"This access token does not work from {e.address or 'an unknown address'}."
    ),
    RateLimited: _rate_limited,
    BatchOverRateLimit: lambda e: Problem(BATCH_OVER_RATE_LIMIT, str(e)),
    TooManyUnknownTokens: _too_many_unknown_tokens,
    InsufficientScope: lambda e: Problem(INSUFFICIENT_SCOPE, f"Missing scope: {e.needed}."),
    GuardUnavailable: lambda _: unavailable("The access token cannot be checked at the moment; try again."),
}
"""The problem of each guard error, unless the `problem_table` of the route has a row for it."""
