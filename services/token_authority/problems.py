"""From the authority's errors to the problems they are told as; the only place that names an error status."""

from typing import Final

from services.token_authority.domain.errors import InvalidValue, Unauthenticated, UnknownToken
from shared.runtime.postgres import DatabaseUnavailable, UnstorableValue
from shared.runtime.problem import Fault, Problem, ProblemTable, unavailable


def _invalid_value(error: InvalidValue) -> Problem:
    pointer = "".join(f"/{step}" for step in error.path)
    return Problem(422, "invalid-body", "Invalid body", error.reason, (Fault(error.reason, pointer=pointer),))


def _unauthenticated(error: Unauthenticated) -> Problem:
    scheme, detail = error.args
    challenge = {"WWW-Authenticate": f'{scheme} realm="token authority"'}
    return Problem(401, "unauthenticated", "Unauthenticated", detail, headers=challenge)


PROBLEMS: Final[ProblemTable] = {
    InvalidValue: _invalid_value,
    Unauthenticated: _unauthenticated,
    UnknownToken: lambda _: Problem(404, "unknown-token", "Unknown token", "No token has this id."),
    UnstorableValue: lambda _: Problem(422, "unstorable", "Invalid value", "A value holds what cannot be stored."),
    DatabaseUnavailable: lambda _: unavailable("The token authority's database does not answer; try again."),
}
