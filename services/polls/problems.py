"""From the polls service's errors to the problems they are told as; the only place that names an error status."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from services.polls.domain.errors import (
    AlreadyVoted,
    BatchRolledBack,
    InvalidBallot,
    InvalidPoll,
    KeyInUse,
    KeyReused,
    NamesNotKept,
    PollBusy,
    PollChanged,
    PollClosed,
    StreamLimitReached,
    TooManyStreams,
    UnknownBallot,
    UnknownEndpoint,
    UnknownPoll,
    UnknownTemplate,
    Violation,
    VotesWouldBeDropped,
)
from shared.guard import TokenInvalid, TokenMissing
from shared.guard.problems import GUARD_PROBLEM_TYPES
from shared.runtime.http.problem import RETRY_AFTER_S, ErrorDetail, InvalidBody, Problem, ProblemTable, unavailable
from shared.runtime.http.problem_types import RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.http.validation_errors import MAX_ERRORS, pointer_to
from shared.runtime.postgres.database import DatabaseUnavailable, LockTimeout, UnstorableValue

INVALID_POLL: Final = ProblemType(
    "invalid-poll",
    422,
    "Invalid poll",
    meaning="The body can be read and is not a poll: a field is missing, of another type, or breaks a rule. Under "
    "`/x1` the status is 400, as the Team Voice contract has it.",
    remedy="Go through `errors`: each `pointer` leads to a field and each `detail` says what would be right.",
)
INVALID_BALLOT: Final = ProblemType(
    "invalid-ballot",
    422,
    "Invalid ballot",
    meaning="The body can be read and is no ballot for this poll: it chooses an option that the poll does not have, or "
    "more than the poll takes, or comments where that is not allowed.",
    remedy="Go through `errors`: each `pointer` leads to a field and each `detail` says what would be right. The "
    "poll's options and settings are in `GET /v1/polls/{id}`.",
)
UNKNOWN_POLL: Final = ProblemType(
    "unknown-poll",
    404,
    "Not found",
    meaning="There is no poll of this id: it has been deleted, or is somewhere else. Where the access token does not "
    "reach a poll, the answer is the same.",
    remedy="Compare the id with the one under which the poll was created, and workspace, content and container where "
    "they are given; list the polls to see which the token reaches.",
)
UNKNOWN_BALLOT: Final = ProblemType(
    "unknown-ballot",
    404,
    "Not found",
    meaning="The participant has no ballot in this poll, or has withdrawn it.",
    remedy="Compare the participant's id with the one under which the ballot was cast: it counts to the letter.",
)
UNKNOWN_ENDPOINT: Final = ProblemType(
    "unknown-endpoint",
    404,
    "Not found",
    meaning="The last part of the path is not that of the site for which the access token was issued.",
    remedy="Take the URL of the site together with the token, from whoever issued it.",
)
TOKEN_MISSING: Final = ProblemType(
    "token-missing",
    403,
    "Forbidden",
    meaning="The request carries no access token.",
    remedy="Add it to the URL, as `&token=`, or send it as `Authorization: Bearer …`.",
)
TOKEN_INVALID: Final = ProblemType(
    "token-invalid",
    403,
    "Forbidden",
    meaning="The access token does not work. Whether it has never been, has expired or has been revoked is not told.",
    remedy="Ask whoever issued it for another one; repeating the request will not help.",
)
POLL_CLOSED: Final = ProblemType(
    "poll-closed",
    409,
    "Poll closed",
    meaning="The poll is closed: its end date has passed. Nobody can vote any more, or withdraw.",
    remedy="Read the results, which are final. To open the poll again, give it a later end date, "
    "or set `closePollOnEndDate` to false.",
)
ALREADY_VOTED: Final = ProblemType(
    "already-voted",
    409,
    "Already voted",
    meaning="The participant has voted, or has voted and withdrawn, and this poll allows no second ballot.",
    remedy="Where the answer to the first one was lost, read the ballot to see what was kept. `allowRevote` lets "
    "participants change their minds.",
)
NAMES_NOT_KEPT: Final = ProblemType(
    "names-not-kept",
    409,
    "Names not kept",
    meaning="The poll does not keep who has voted, so there is no list of its ballots.",
    remedy="Read its results. `saveParticipantNames` keeps the names of those who vote from then on.",
)
VOTES_WOULD_BE_DROPPED: Final = ProblemType(
    "votes-would-be-dropped",
    409,
    "Votes would be dropped",
    meaning="The edit takes away options that have votes, which would be lost. Nothing was changed. Under `/x1` the "
    "status is 400, as the Team Voice contract has no 409.",
    remedy="Keep the options in the poll: they are the same where their ids are, and may have other titles. To drop "
    "the votes all the same, add `dropVotes=true` to the query.",
)
POLL_CHANGED: Final = ProblemType(
    "poll-changed",
    412,
    "Poll changed meanwhile",
    meaning="The poll is no longer the one that `If-Match` names: somebody has edited it, or it has closed. Nothing "
    "was changed.",
    remedy="Read the poll again, make the change to what it is now, and send it with the new `ETag`.",
)
KEY_REUSED: Final = ProblemType(
    "idempotency-key-reused",
    422,
    "Idempotency-Key reused",
    meaning="Within a day this `Idempotency-Key` has come with another request of this access token. Nothing was done.",
    remedy="Send the same request to get the first answer again, or choose another key for another one.",
)
KEY_IN_USE: Final = ProblemType(
    "idempotency-key-in-use",
    409,
    "Idempotency-Key in use",
    meaning="A request under this `Idempotency-Key` is still being worked on. This one has done nothing.",
    remedy="Send the same request again after the seconds in `Retry-After`: it is answered as the first one was.",
)
BATCH_ROLLED_BACK: Final = ProblemType(
    "undone-with-others",
    424,
    "Undone with others",
    meaning="This item of an `atomic` batch could be done, and was undone because another one failed.",
    remedy="Look for the items with another status, correct these, and send the batch again.",
)
TOO_MANY_STREAMS: Final = ProblemType(
    "too-many-streams",
    429,
    "Too many streams",
    meaning="The access token follows as many polls at once as it may.",
    remedy="End a stream that is no longer needed, or follow more than one poll by listing them with `updatedSince`. "
    "Try again after the seconds in `Retry-After`.",
)

PROBLEM_TYPES: Final = (
    *RUNTIME_PROBLEM_TYPES,
    *GUARD_PROBLEM_TYPES,
    *(INVALID_POLL, INVALID_BALLOT, UNKNOWN_POLL, UNKNOWN_BALLOT, UNKNOWN_ENDPOINT, TOKEN_MISSING, TOKEN_INVALID),
    *(POLL_CLOSED, ALREADY_VOTED, NAMES_NOT_KEPT, VOTES_WOULD_BE_DROPPED, POLL_CHANGED, KEY_REUSED, KEY_IN_USE),
    *(BATCH_ROLLED_BACK, TOO_MANY_STREAMS),
)
"""Every kind of problem that the polls service can tell."""


def _errors(violations: Iterable[Violation]) -> tuple[ErrorDetail, ...]:
    """The first of them: what is sent may have more than anyone reads."""
    told = islice(violations, MAX_ERRORS)
    return tuple(
        ErrorDetail(violation.reason, pointer=pointer_to([str(step) for step in violation.path])) for violation in told
    )


def _not_a_poll(*errors: ErrorDetail) -> Problem:
    return Problem(INVALID_POLL, "The body is not a valid poll.", errors)


def _votes_would_be_dropped(error: VotesWouldBeDropped) -> Problem:
    lost = sum(error.votes.values())
    errors = [
        ErrorDetail(f"the option '{option_id[:100]}' has {votes} and is not among these", pointer="/options")
        for option_id, votes in islice(error.votes.items(), MAX_ERRORS)
    ]
    detail = f"The edit would drop votes: {lost}. Keep the options, or add 'dropVotes=true' to the query."
    return Problem(VOTES_WOULD_BE_DROPPED, detail, tuple(errors))


_BUSY: Final = unavailable("The poll is being changed by others at the moment; try again.")

PROBLEMS: Final[ProblemTable] = {
    InvalidPoll: lambda e: _not_a_poll(*_errors(e.violations)),
    InvalidBallot: lambda e: Problem(INVALID_BALLOT, "The body is not a valid ballot.", _errors(e.violations)),
    UnknownTemplate: lambda e: _not_a_poll(ErrorDetail(str(e), pointer="/template")),
    UnknownPoll: lambda _: Problem(UNKNOWN_POLL, "There is no such poll, or not for this token."),
    UnknownBallot: lambda _: Problem(UNKNOWN_BALLOT, "The participant has no ballot in this poll."),
    UnknownEndpoint: lambda _: Problem(UNKNOWN_ENDPOINT, "No site of this token has this URL."),
    PollClosed: lambda _: Problem(POLL_CLOSED, "The poll is closed; nobody can vote or withdraw any more."),
    AlreadyVoted: lambda _: Problem(ALREADY_VOTED, "The participant has voted, and this poll allows no second ballot."),
    NamesNotKept: lambda _: Problem(NAMES_NOT_KEPT, "The poll does not keep names, so its ballots are not listed."),
    VotesWouldBeDropped: _votes_would_be_dropped,
    PollChanged: lambda _: Problem(POLL_CHANGED, "The poll has changed; read it again."),
    PollBusy: lambda _: _BUSY,
    KeyReused: lambda _: Problem(KEY_REUSED, "This Idempotency-Key has come with another request; choose another one."),
    KeyInUse: lambda _: Problem(
        KEY_IN_USE,
        "A request under this Idempotency-Key is being worked on.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    ),
    BatchRolledBack: lambda _: Problem(BATCH_ROLLED_BACK, "It was undone because another item failed."),
    TooManyStreams: lambda e: Problem(
        TOO_MANY_STREAMS, f"This access token follows {e.limit} polls already.", headers={"Retry-After": "10"}
    ),
    StreamLimitReached: lambda _: unavailable("This replica takes no more streams at the moment; try again."),
    UnstorableValue: lambda _: _not_a_poll(ErrorDetail("a value holds what cannot be stored")),
    LockTimeout: lambda _: _BUSY,
    DatabaseUnavailable: lambda _: unavailable("The polls' database does not answer in time; try again."),
}


def _as_contract(row: Callable[[Any], Problem]) -> Callable[[Any], Problem]:
    """The wire contract has no status of its own for a body that breaks a rule, or for a conflict."""
    return lambda error: msgspec.structs.replace(row(error), status=400)


CONTRACT_PROBLEMS: Final[ProblemTable] = {
    TokenMissing: lambda _: Problem(TOKEN_MISSING, "Add the access token to the URL: '&token='."),
    TokenInvalid: lambda _: Problem(TOKEN_INVALID, "This access token does not work."),
    UnknownPoll: lambda _: Problem(UNKNOWN_POLL, "There is no such poll at this place."),
    InvalidBody: _as_contract(lambda e: _not_a_poll(*e.errors)),
    **{kind: _as_contract(PROBLEMS[kind]) for kind in (InvalidPoll, UnstorableValue, VotesWouldBeDropped)},
}
"""The rows of `/x1`: the contract has 403 where RFC 6750 has 401, and 400 where `/v1` has 409 or 422."""
