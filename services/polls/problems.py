"""From the polls service's errors to the problems they are told as; the only place that names an error status."""

from collections.abc import Mapping
from typing import Final

from services.polls.domain.poll import InvalidPoll, UnknownEndpoint, UnknownPoll
from shared.guard import TokenInvalid, TokenMissing
from shared.guard.problems import GUARD_KINDS
from shared.runtime.postgres import DatabaseUnavailable, UnstorableValue
from shared.runtime.problem import Fault, InvalidBody, Problem, ProblemTable, unavailable
from shared.runtime.problem_types import RUNTIME_KINDS, ProblemType

INVALID_POLL: Final = ProblemType(
    *("invalid-poll", 400, "Bad request"),
    meaning="The body can be read and is not a poll: a field is missing, of another type, or breaks a rule.",
    remedy="Go through `errors`: each `pointer` leads to a field and each `detail` says what would be right.",
)
UNKNOWN_POLL: Final = ProblemType(
    *("unknown-poll", 404, "Not found"),
    meaning="There is no poll of this id at this place: it has been deleted, or is somewhere else.",
    remedy="Compare workspace, content and container with those under which it was created; list the polls at the "
    "place to see which are there.",
)
UNKNOWN_ENDPOINT: Final = ProblemType(
    *("unknown-endpoint", 404, "Not found"),
    meaning="The last part of the path is not that of the site for which the access token was issued.",
    remedy="Take the URL of the site together with the token, from whoever issued it.",
)
TOKEN_MISSING: Final = ProblemType(
    *("token-missing", 403, "Forbidden"),
    meaning="The request carries no access token.",
    remedy="Add it to the URL, as `&token=`, or send it as `Authorization: Bearer …`.",
)
TOKEN_INVALID: Final = ProblemType(
    *("token-invalid", 403, "Forbidden"),
    meaning="The access token does not work. Whether it has never been, has expired or has been revoked is not told.",
    remedy="Ask whoever issued it for another one; repeating the request will not help.",
)

KINDS: Final = (
    *RUNTIME_KINDS,
    *GUARD_KINDS,
    *(INVALID_POLL, UNKNOWN_POLL, UNKNOWN_ENDPOINT, TOKEN_MISSING, TOKEN_INVALID),
)
"""Every kind of problem that the polls service can tell."""


def _invalid_poll(error: InvalidPoll) -> Problem:
    faults = [Fault(flaw.reason, pointer="".join(f"/{step}" for step in flaw.path)) for flaw in error.flaws]
    return _not_a_poll(*faults)


def _not_a_poll(*faults: Fault) -> Problem:
    return Problem(INVALID_POLL, "The body is not a valid poll.", faults)


PROBLEMS: Final[ProblemTable] = {
    InvalidPoll: _invalid_poll,
    InvalidBody: lambda e: _not_a_poll(*e.faults),
    UnknownPoll: lambda _: Problem(UNKNOWN_POLL, "There is no such poll at this place."),
    UnknownEndpoint: lambda _: Problem(UNKNOWN_ENDPOINT, "No site of this token has this URL."),
    UnstorableValue: lambda _: _not_a_poll(Fault("a value holds what cannot be stored")),
    DatabaseUnavailable: lambda _: unavailable("The polls' database does not answer; try again."),
}

FACES: Final[Mapping[str, ProblemTable]] = {
    "/x1/{endpoint}": {
        TokenMissing: lambda _: Problem(TOKEN_MISSING, "Add the access token to the URL: '&token='."),
        TokenInvalid: lambda _: Problem(TOKEN_INVALID, "This access token does not work."),
    }
}
"""The wire contract answers 403 where RFC 6750 would answer 401."""
