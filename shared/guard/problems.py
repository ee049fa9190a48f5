"""From the guard's errors to the problems they are told as (RFC 6750 §3.1), where a service does not say otherwise."""

from typing import Final

from shared.guard.errors import (
    AddressNotAllowed,
    GuardUnavailable,
    InsufficientScope,
    QueryNotAllowed,
    QueryUnreadable,
    RateLimited,
    TokenInvalid,
    TokenMissing,
    TokenTwice,
)
from shared.runtime.http.problem import Problem, ProblemTable, unavailable
from shared.runtime.http.problem_types import BAD_REQUEST, ProblemType

UNAUTHORIZED: Final = ProblemType(
    "unauthorized",
    401,
    "Unauthorized",
    meaning="The request carries no access token, or one that does not work. Whether such a token has never been, has "
    "expired or has been revoked is not told.",
    remedy="Send the token as `Authorization: Bearer …`. If it was sent, ask whoever issued it for another one; "
    "repeating the request will not help.",
)
TOKEN_TWICE: Final = ProblemType(
    "token-twice",
    400,
    "Bad request",
    meaning="The request carries an access token more than once, so it could mean either (RFC 6750 §2).",
    remedy="Send the token once: as `Authorization: Bearer …`, or as `?token=`, not both.",
)
QUERY_NOT_ALLOWED: Final = ProblemType(
    "query-not-allowed",
    403,
    "Forbidden",
    meaning="The access token works, but was issued so that it may not stand in a URL, where logs and histories keep "
    "it.",
    remedy="Send it as `Authorization: Bearer …`. It has been in a URL now: rotate it if others can read that.",
)
ADDRESS_NOT_ALLOWED: Final = ProblemType(
    "address-not-allowed",
    403,
    "Forbidden",
    meaning="The access token works, but not from the address that the request comes from.",
    remedy="Send the request from one of the token's networks, or ask whoever issued it for a token that works from "
    "yours.",
)
RATE_LIMITED: Final = ProblemType(
    "rate-limited",
    429,
    "Too many requests",
    meaning="The access token works, and has been used more often within a minute than it may be. The request was not "
    "handled.",
    remedy="Wait for the seconds in `Retry-After`, then send it again; spread requests by what the `RateLimit` header "
    "says is left.",
)
INSUFFICIENT_SCOPE: Final = ProblemType(
    "insufficient-scope",
    403,
    "Forbidden",
    meaning="The access token works, but none of its scopes covers this action at this place.",
    remedy="Compare the token's scopes with the one that `detail` and `WWW-Authenticate` name, and ask for a token "
    "that has it. If the place is misspelled, correct that.",
)

GUARD_PROBLEM_TYPES: Final = (
    UNAUTHORIZED,
    TOKEN_TWICE,
    QUERY_NOT_ALLOWED,
    ADDRESS_NOT_ALLOWED,
    RATE_LIMITED,
    INSUFFICIENT_SCOPE,
)
"""What a service behind the guard can tell besides its own."""


def _unauthorized(detail: str, challenge: str) -> Problem:
    return Problem(UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def _rate_limited(error: RateLimited) -> Problem:
    wait = str(error.retry_after_s)
    detail = f"This access token is good for {error.limit} requests a minute; try again in {wait} s."
    return Problem(RATE_LIMITED, detail, headers={"Retry-After": wait})


def _insufficient_scope(error: InsufficientScope) -> Problem:
    challenge = f'Bearer error="insufficient_scope", scope="{error.needed}"'
    detail = f"The token's scopes do not reach; '{error.needed}' would."
    return Problem(INSUFFICIENT_SCOPE, detail, headers={"WWW-Authenticate": challenge})


GUARD_PROBLEMS: Final[ProblemTable] = {
    TokenMissing: lambda _: _unauthorized("Send an access token, as '?token=' or as a bearer.", "Bearer"),
    TokenInvalid: lambda _: _unauthorized("This access token does not work.", 'Bearer error="invalid_token"'),
    QueryUnreadable: lambda e: Problem(BAD_REQUEST, str(e)),
    TokenTwice: lambda _: Problem(TOKEN_TWICE, "Send the access token once, in one place."),
    QueryNotAllowed: lambda _: Problem(
        QUERY_NOT_ALLOWED, "This access token may not stand in a URL; send it as 'Authorization: Bearer'."
    ),
    AddressNotAllowed: lambda e: Problem(
        ADDRESS_NOT_ALLOWED,
        f"This access token does not work from {e.address or 'an address that cannot be told'}.",
    ),
    RateLimited: _rate_limited,
    InsufficientScope: _insufficient_scope,
    GuardUnavailable: lambda _: unavailable("The token cannot be checked at the moment; try again."),
}
"""How each error is told where a route's own table does not say otherwise."""
