"""From the authority's errors to the problems they are told as; the only place that names an error status."""

from typing import Final

from services.token_authority.domain.errors import (
    Forbidden,
    InvalidValue,
    LastAdministrator,
    NameTaken,
    RotationDiffers,
    RotationInUse,
    TokenEnded,
    TooManyAttempts,
    TooManySecrets,
    Unauthenticated,
    UnknownAdminKey,
    UnknownService,
    UnknownToken,
    Widening,
)
from services.token_authority.domain.secret import MAX_LIVE
from shared.runtime.http.problem import ErrorDetail, Problem, ProblemTable, unavailable
from shared.runtime.http.problem_types import INVALID_BODY, RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.postgres.database import DatabaseUnavailable, UnstorableValue

UNAUTHENTICATED: Final = ProblemType(
    *("unauthenticated", 401, "Unauthenticated"),
    meaning="The request carries no credential, or none that is known here: an admin key, a service's client id and "
    "secret or assertion, or an access token, whichever the route takes.",
    remedy="Send the credential as `WWW-Authenticate` says. If it was sent, it is misspelled, revoked, expired or an "
    "assertion that was used before; each wrong one counts, so do not simply repeat it.",
)
TOO_MANY_ATTEMPTS: Final = ProblemType(
    *("too-many-attempts", 429, "Too many requests"),
    meaning="Within a minute, too many wrong credentials have come from this address or for this client id, or too "
    "many tokens were asked about from this address. The request was not handled.",
    remedy="Wait for the seconds in `Retry-After`, and see that what calls has the right credential.",
)
FORBIDDEN: Final = ProblemType(
    *("forbidden", 403, "Forbidden"),
    meaning="The admin key works, and may not do this: it is in another role, or the request goes beyond the sites and "
    "scopes that the key is limited to.",
    remedy="Use an admin key that `detail` describes, or ask for less: a token can have only what its maker's key has.",
)
UNKNOWN_TOKEN: Final = ProblemType(
    *("unknown-token", 404, "Unknown token"),
    meaning="No token has this id, or none that the admin key may see.",
    remedy="Look for the token in `GET /v1/tokens`. The id is not the secret: it is what a token is listed under.",
)
UNKNOWN_ADMIN_KEY: Final = ProblemType(
    *("unknown-admin-key", 404, "Unknown admin key"),
    meaning="No admin key has this id; it may have been revoked.",
    remedy="Look for the key in `GET /v1/admin-keys`.",
)
UNKNOWN_SERVICE: Final = ProblemType(
    *("unknown-service", 404, "Unknown service"),
    meaning="No service has this client id.",
    remedy="Look for the service in `GET /v1/services`.",
)
NAME_TAKEN: Final = ProblemType(
    *("name-taken", 409, "Conflict"),
    meaning="Something of this name exists already, and names are unique.",
    remedy="Choose another name, or change what has it.",
)
TOKEN_ENDED: Final = ProblemType(
    *("token-ended", 409, "Conflict"),
    meaning="The token is revoked or has expired. That is for good: nothing about it can change.",
    remedy="Issue a new token in its place.",
)
TOO_MANY_SECRETS: Final = ProblemType(
    *("too-many-secrets", 409, "Conflict"),
    meaning="So many secrets of this token, key or service work side by side already that there cannot be another.",
    remedy="Wait until the overlap of an earlier rotation is over, or rotate with an overlap of 0, which ends the "
    "earlier secrets at once.",
)
ROTATION_DIFFERS: Final = ProblemType(
    *("rotation-differs", 409, "Conflict"),
    meaning="This `Idempotency-Key` has come before with a rotation that asked for something else.",
    remedy="Repeat the first request unchanged to finish that rotation, or start another one under a new key.",
)
ROTATION_IN_USE: Final = ProblemType(
    *("rotation-in-use", 409, "Conflict"),
    meaning="The rotation was repeated under its `Idempotency-Key`, but the secret that it has made is in use already, "
    "or has been rotated since. It is not replaced, so that whoever uses it goes on working.",
    remedy="If the secret is lost, rotate again under another `Idempotency-Key`.",
)
LAST_ADMINISTRATOR: Final = ProblemType(
    *("last-administrator", 409, "Conflict"),
    meaning="This is the last admin key in the role admin; without it nobody could manage the authority.",
    remedy="Make another admin key in that role first, then revoke this one with it.",
)
WIDENING: Final = ProblemType(
    *("widening", 422, "A token cannot be widened"),
    meaning="The change would let a token that is in use do more than it may now. Whoever holds it was trusted with "
    "what it is, so it can only become less.",
    remedy="Issue a new token that may do what is needed; `errors` says which field would widen this one.",
)
UNSTORABLE: Final = ProblemType(
    *("unstorable", 422, "Invalid value"),
    meaning="A text holds a character that the database cannot store.",
    remedy="Take such characters, the NUL character above all, out of the values that are sent.",
)

PROBLEM_TYPES: Final = (
    *RUNTIME_PROBLEM_TYPES,
    *(UNAUTHENTICATED, TOO_MANY_ATTEMPTS, FORBIDDEN, UNKNOWN_TOKEN, UNKNOWN_ADMIN_KEY, UNKNOWN_SERVICE, NAME_TAKEN),
    *(TOKEN_ENDED, TOO_MANY_SECRETS, ROTATION_DIFFERS, ROTATION_IN_USE, LAST_ADMINISTRATOR, WIDENING, UNSTORABLE),
)
"""Every kind of problem that the authority can tell."""


def _invalid_value(error: InvalidValue) -> Problem:
    return Problem(INVALID_BODY, error.reason, (_error_detail(error),))


def _widening(error: Widening) -> Problem:
    return Problem(WIDENING, error.reason, (_error_detail(error),))


def _error_detail(error: InvalidValue | Widening) -> ErrorDetail:
    return ErrorDetail(error.reason, pointer="".join(f"/{step}" for step in error.path))


def _unauthenticated(error: Unauthenticated) -> Problem:
    challenges = ", ".join(f'{scheme} realm="token authority"' for scheme in error.schemes)
    return Problem(UNAUTHENTICATED, error.detail, headers={"WWW-Authenticate": challenges})


def _too_many_attempts(error: TooManyAttempts) -> Problem:
    detail = f"{error.detail}; try again in {error.retry_after_s} s."
    return Problem(TOO_MANY_ATTEMPTS, detail, headers={"Retry-After": str(error.retry_after_s)})


PROBLEMS: Final[ProblemTable] = {
    InvalidValue: _invalid_value,
    Widening: _widening,
    Unauthenticated: _unauthenticated,
    TooManyAttempts: _too_many_attempts,
    Forbidden: lambda e: Problem(FORBIDDEN, str(e)),
    UnknownToken: lambda _: Problem(UNKNOWN_TOKEN, "No token has this id."),
    UnknownAdminKey: lambda _: Problem(UNKNOWN_ADMIN_KEY, "No admin key has this id."),
    UnknownService: lambda _: Problem(UNKNOWN_SERVICE, "No service has this client id."),
    NameTaken: lambda e: Problem(NAME_TAKEN, str(e)),
    TokenEnded: lambda _: Problem(TOKEN_ENDED, "This token is revoked or has expired, so nothing about it can change."),
    TooManySecrets: lambda _: Problem(
        TOO_MANY_SECRETS,
        f"Already {MAX_LIVE} of its secrets work; wait until an overlap is over, or rotate with an overlap of 0.",
    ),
    RotationDiffers: lambda _: Problem(
        ROTATION_DIFFERS, "This Idempotency-Key has come with another request; choose another key."
    ),
    RotationInUse: lambda _: Problem(
        ROTATION_IN_USE,
        "The secret that this rotation has made is in use already, or has been rotated since, so it is not replaced; "
        "rotate again under another Idempotency-Key.",
    ),
    LastAdministrator: lambda _: Problem(
        LAST_ADMINISTRATOR, "This is the last admin key in the role admin; make another one first."
    ),
    UnstorableValue: lambda _: Problem(UNSTORABLE, "A value holds what cannot be stored."),
    DatabaseUnavailable: lambda _: unavailable("The token authority's database does not answer; try again."),
}
