"""From the polls service's errors to the problems they are told as; the only place that names an error status."""

from typing import Final

from services.polls.domain.poll import InvalidPoll, UnknownEndpoint, UnknownPoll
from shared.guard import TokenInvalid, TokenMissing
from shared.runtime.postgres import DatabaseUnavailable, UnstorableValue
from shared.runtime.problem import Fault, InvalidBody, Problem, ProblemTable, unavailable


def _invalid_poll(error: InvalidPoll) -> Problem:
    faults = [Fault(flaw.reason, pointer="".join(f"/{step}" for step in flaw.path)) for flaw in error.flaws]
    return _not_a_poll(*faults)


def _not_a_poll(*faults: Fault) -> Problem:
    return Problem(400, "invalid-poll", "Bad request", "The body is not a valid poll.", faults)


PROBLEMS: Final[ProblemTable] = {
    InvalidPoll: _invalid_poll,
    InvalidBody: lambda e: _not_a_poll(*e.faults),
    UnknownPoll: lambda _: Problem(404, "unknown-poll", "Not found", "There is no such poll at this place."),
    UnknownEndpoint: lambda _: Problem(404, "unknown-endpoint", "Not found", "No site of this token has this URL."),
    UnstorableValue: lambda _: _not_a_poll(Fault("a value holds what cannot be stored")),
    DatabaseUnavailable: lambda _: unavailable("The polls' database does not answer; try again."),
}

X1_GUARD_PROBLEMS: Final[ProblemTable] = {
    TokenMissing: lambda _: Problem(403, "token-missing", "Forbidden", "Add the access token to the URL: '&token='."),
    TokenInvalid: lambda _: Problem(403, "token-invalid", "Forbidden", "This access token does not work."),
}
"""The wire contract answers 403 where RFC 6750 would answer 401."""
