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
from shared.runtime.postgres import DatabaseUnavailable, UnstorableValue
from shared.runtime.problem import Fault, Problem, ProblemTable, unavailable


def _invalid_value(error: InvalidValue) -> Problem:
    pointer = "".join(f"/{step}" for step in error.path)
    return Problem(422, "invalid-body", "Invalid body", error.reason, (Fault(error.reason, pointer=pointer),))


def _unauthenticated(error: Unauthenticated) -> Problem:
    challenges = ", ".join(f'{scheme} realm="token authority"' for scheme in error.schemes)
    return Problem(401, "unauthenticated", "Unauthenticated", error.detail, headers={"WWW-Authenticate": challenges})


def _too_many_attempts(error: TooManyAttempts) -> Problem:
    detail = f"{error.detail}; try again in {error.retry_after_s} s."
    headers = {"Retry-After": str(error.retry_after_s)}
    return Problem(429, "too-many-attempts", "Too many requests", detail, headers=headers)


def _widening(error: Widening) -> Problem:
    pointer = "".join(f"/{step}" for step in error.path)
    return Problem(422, "widening", "A token cannot be widened", error.reason, (Fault(error.reason, pointer=pointer),))


PROBLEMS: Final[ProblemTable] = {
    InvalidValue: _invalid_value,
    Widening: _widening,
    Unauthenticated: _unauthenticated,
    TooManyAttempts: _too_many_attempts,
    Forbidden: lambda e: Problem(403, "forbidden", "Forbidden", str(e)),
    UnknownToken: lambda _: Problem(404, "unknown-token", "Unknown token", "No token has this id."),
    UnknownAdminKey: lambda _: Problem(404, "unknown-admin-key", "Unknown admin key", "No admin key has this id."),
    UnknownService: lambda _: Problem(404, "unknown-service", "Unknown service", "No service has this client id."),
    NameTaken: lambda e: Problem(409, "name-taken", "Conflict", str(e)),
    TokenEnded: lambda _: Problem(
        409, "token-ended", "Conflict", "This token is revoked or has expired, so nothing about it can change."
    ),
    TooManySecrets: lambda _: Problem(
        409,
        "too-many-secrets",
        "Conflict",
        f"Already {MAX_LIVE} of its secrets work; wait until an overlap is over, or rotate with an overlap of 0.",
    ),
    RotationDiffers: lambda _: Problem(
        409, "rotation-differs", "Conflict", "This Idempotency-Key has come with another request; choose another key."
    ),
    RotationInUse: lambda _: Problem(
        *(409, "rotation-in-use", "Conflict"),
        "The secret that this rotation has made is in use already, or has been rotated since, so it is not replaced; "
        "rotate again under another Idempotency-Key.",
    ),
    LastAdministrator: lambda _: Problem(
        409, "last-administrator", "Conflict", "This is the last admin key in the role admin; make another one first."
    ),
    UnstorableValue: lambda _: Problem(422, "unstorable", "Invalid value", "A value holds what cannot be stored."),
    DatabaseUnavailable: lambda _: unavailable("The token authority's database does not answer; try again."),
}
