"""Problem types and statuses of the polls service's errors. No other module names an error status."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from services.polls.domain.audit import MAX_CHANGES_PER_DAY
from services.polls.domain.errors import (
    AddressLimitReached,
    AlreadyVoted,
    BatchRolledBack,
    InsecureSignIn,
    InvalidBallot,
    InvalidLink,
    InvalidPoll,
    KeyInUse,
    KeyReused,
    LinkEnded,
    LinkFull,
    LinksCreatedBefore,
    NamesNotKept,
    PollBusy,
    PollChanged,
    PollClosed,
    PromisesWouldBeBroken,
    StreamLimitReached,
    TooManyEdits,
    TooManyLinks,
    TooManyStoredResponses,
    TooManyStreams,
    UnknownBallot,
    UnknownEndpoint,
    UnknownLink,
    UnknownPoll,
    UnknownTemplate,
    Violation,
    VotesWouldBeDropped,
)
from services.polls.domain.link import MAX_LINKS_PER_POLL, MAX_SHARED_LINKS_PER_DAY
from shared.guard import TokenInvalid, TokenMissing
from shared.guard.problems import GUARD_PROBLEM_TYPES
from shared.runtime.http.problem import RETRY_AFTER_S, ErrorDetail, InvalidBody, Problem, ProblemTable, unavailable
from shared.runtime.http.problem_types import RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.http.validation_errors import MAX_ERRORS, pointer_to
from shared.runtime.pages.forms import ForgedForm
from shared.runtime.postgres.database import DatabaseUnavailable, LockTimeout, UnstorableValue

INVALID_POLL: Final = ProblemType(
    "invalid-poll",
    422,
    "Invalid poll",
    meaning="The body is valid JSON but not a valid poll: a field is missing, has the wrong type, or breaks a rule. "
    "Under `/x1` the status is 400, because the Team Voice contract has no 422.",
    remedy="Read `errors`: each `pointer` leads to a field, and each `detail` says what is expected there.",
)
INVALID_BALLOT: Final = ProblemType(
    "invalid-ballot",
    422,
    "Invalid ballot",
    meaning="The body is valid JSON but not a valid ballot for this poll. For example, it chooses an option that the "
    "poll does not have, or more options than the poll allows, or it has a comment and the poll allows none.",
    remedy="Read `errors`: each `pointer` leads to a field, and each `detail` says what is expected there. "
    "`GET /v1/polls/{id}` returns the options and settings of the poll.",
)
UNKNOWN_POLL: Final = ProblemType(
    "unknown-poll",
    404,
    "Not found",
    meaning="No poll with this id exists, or the poll is at another place, or the access token may do nothing with "
    "it. The response does not say which, so that a token cannot find out which polls exist.",
    remedy="Compare the id with the one in the response that created the poll, and `workspace`, `content` and "
    "`container` if you send them. `GET /v1/polls` lists the polls that the token may read.",
)
UNKNOWN_BALLOT: Final = ProblemType(
    "unknown-ballot",
    404,
    "Not found",
    meaning="The participant has no ballot in this poll, or has withdrawn it.",
    remedy="Compare the participant's id with the one that the ballot was cast with. Upper and lower case differ.",
)
UNKNOWN_ENDPOINT: Final = ProblemType(
    "unknown-endpoint",
    404,
    "Not found",
    meaning="The last segment of the path is not the endpoint of the site that the access token was issued for.",
    remedy="Use the endpoint that was issued with the token. If you do not have it, ask the administrator who issued "
    "the token.",
)
TOKEN_MISSING: Final = ProblemType(
    "token-missing",
    403,
    "Forbidden",
    meaning="The request carries no access token.",
    remedy="Add it to the URL as `&token=`, or send the header `Authorization: Bearer …`.",
)
TOKEN_INVALID: Final = ProblemType(
    "token-invalid",
    403,
    "Forbidden",
    meaning="The access token does not work. If it is mistyped or cut off, `detail` says so. Otherwise the response "
    "does not say whether it is unknown, disabled, expired or revoked.",
    remedy="Send the token to `GET /v1/token` of the token authority, at the address in `detail`, to see why it does "
    "not work. If it has ended, ask the administrator who issued it for another one. Repeating the request does not "
    "help.",
)
POLL_CLOSED: Final = ProblemType(
    "poll-closed",
    409,
    "Poll closed",
    meaning="The poll's end date has passed, so ballots can no longer be cast or withdrawn.",
    remedy="Read the results, which are final. To open the poll again, set a later `endDate`, or set "
    "`closePollOnEndDate` to false.",
)
ALREADY_VOTED: Final = ProblemType(
    "already-voted",
    409,
    "Already voted",
    meaning="The participant has cast a ballot in this poll, or has cast and withdrawn one, and the poll allows one "
    "ballot per participant.",
    remedy="If the response to the first ballot was lost, read the ballot to see what was stored. With the setting "
    "`allowRevote`, participants can replace their ballots.",
)
INVALID_LINK: Final = ProblemType(
    "invalid-link",
    422,
    "Invalid voting link",
    meaning="The body is valid JSON but not a valid voting link. For example, a personal link has no participant, or a "
    "shared link has one, or the time at which it ends is over.",
    remedy="Read `errors`: each `pointer` leads to a field, and each `detail` says what is expected there.",
)
UNKNOWN_LINK: Final = ProblemType(
    "unknown-link",
    404,
    "Not found",
    meaning="The poll has no voting link with this id.",
    remedy="`GET /v1/polls/{id}/links` lists the links of the poll with their ids.",
)
LINK_ENDED: Final = ProblemType(
    "link-ended",
    404,
    "This voting link does not work",
    meaning="The voting link is unknown, revoked or expired, or its poll was deleted. The page does not say which.",
    remedy="Compare the link with the one that was sent to you. If it is the same, ask for another one.",
)
LINK_FULL: Final = ProblemType(
    "link-full",
    409,
    "No more votes by this link",
    meaning="The shared voting link has a maximum number of participants, and so many have voted by it.",
    remedy="Ask for another link where you got this one. Who manages the poll can create one with a higher "
    "`maxParticipants`.",
)
ADDRESS_LIMIT: Final = ProblemType(
    "address-limit-reached",
    429,
    "No more votes from this address",
    meaning="The shared voting link has a maximum number of participants from one address, and so many have voted by "
    "it. A company or a mobile network may have one address for everyone.",
    remedy="Vote from another network, or ask for a personal link. Who manages the poll can create a link with a "
    "higher `maxPerAddress`.",
)
TOO_MANY_LINKS: Final = ProblemType(
    "too-many-links",
    409,
    "Too many voting links",
    meaning=f"A poll has at most {MAX_LINKS_PER_POLL:,} active voting links, and gets at most "
    f"{MAX_SHARED_LINKS_PER_DAY} shared ones within a day. Nothing was created.",
    remedy="Revoke links that are no longer needed. Use one shared link in place of many.",
)
NAMES_NOT_KEPT: Final = ProblemType(
    "names-not-kept",
    409,
    "Names not kept",
    meaning="The poll does not store who has voted, so its ballots cannot be listed.",
    remedy="Read the results instead. With the setting `saveParticipantNames`, the poll stores the participants of "
    "all ballots that are cast from then on.",
)
VOTES_WOULD_BE_DROPPED: Final = ProblemType(
    "votes-would-be-dropped",
    409,
    "Votes would be dropped",
    meaning="The edit removes options that have votes, and would delete these votes. Nothing was changed. Under `/x1` "
    "the status is 400, because the Team Voice contract has no 409.",
    remedy="Keep the options: an option with the same id keeps its votes, even with another title. To delete the "
    "votes, add `dropVotes=true` to the query; in a batch, set `dropVotes` to true in the item.",
)
PROMISES_WOULD_BE_BROKEN: Final = ProblemType(
    "promises-would-be-broken",
    409,
    "Promises would be broken",
    meaning="Participants have cast ballots, and the edit would break what the poll has promised them. Each of "
    "`errors` names a promise and its flag: `revealResults` (results become visible to more readers, earlier, or with "
    "numbers), `reopen` (a closed poll, whose results were final, takes ballots again), `changeTitle` (the question is "
    "another one than they have answered), `renameOptions` (votes count for another text than they have chosen; also "
    "if only a typing error is corrected), `saveNames` (names are stored although the poll promised not to) and "
    "`dropVotes` (options are removed with their votes). Nothing was changed. Under `/x1` the status is 400, because "
    "the Team Voice contract has no 409.",
    remedy="Leave these fields as they are, or create another poll. If you insist, add the flags to the query, such as "
    "`allow=revealResults,reopen`; in a batch, set `allow` to a list of them in the item. The edit is then recorded in "
    "the audit trail of the poll, and `changedAfterVotes` shows it to everyone who reads the poll.",
)
POLL_CHANGED: Final = ProblemType(
    "poll-changed",
    412,
    "Poll changed",
    meaning="The poll does not have the ETag in `If-Match`: it was edited or has closed since you read it. Nothing "
    "was changed.",
    remedy="Read the poll again, apply your change to its current state, and send it with the new ETag. If the ETag "
    'that you sent is `W/"1"` or `"1-gzip"`, a proxy that compresses responses has altered it, and it never meets '
    "`If-Match` (RFC 9110 §13.1.1): send the field `etag` of the poll, which no proxy changes.",
)
KEY_REUSED: Final = ProblemType(
    "idempotency-key-reused",
    422,
    "Idempotency-Key reused",
    meaning="Within the last 24 hours, this access token has sent the same `Idempotency-Key` with another request. "
    "Nothing was done.",
    remedy="To get the response to the first request again, send exactly the same request. For another request, use "
    "another key.",
)
KEY_IN_USE: Final = ProblemType(
    "idempotency-key-in-use",
    409,
    "Idempotency-Key in use",
    meaning="A request with this `Idempotency-Key` is still in progress. Nothing was done for this one.",
    remedy="Wait for the number of seconds in `Retry-After`, then send the same request again. It gets the response "
    "to the first one.",
)
BATCH_ROLLED_BACK: Final = ProblemType(
    "undone-with-others",
    424,
    "Rolled back with the batch",
    meaning="This item of an `atomic` batch succeeded, but was rolled back because another item failed.",
    remedy="Correct the items with other statuses, and send the whole batch again.",
)
TOO_MANY_EDITS: Final = ProblemType(
    "too-many-edits",
    429,
    "Too many edits",
    meaning=f"The poll was edited {MAX_CHANGES_PER_DAY:,} times within 24 hours. Each edit is recorded permanently in "
    "its audit trail, so their number is limited. Nothing was changed.",
    remedy="Send the request again later, and edit the poll less often. Ballots do not count. The poll can be deleted.",
)
TOO_MANY_STORED_RESPONSES: Final = ProblemType(
    "too-many-stored-responses",
    429,
    "Too many stored responses",
    meaning="For a day, the response to each request with an `Idempotency-Key` is stored, and the access token has as "
    "many or as long stored responses as it may have. Nothing was done, because a repeated request could not be "
    "recognized.",
    remedy="Send the request again after the number of seconds in `Retry-After`; stored responses are deleted after a "
    "day. Or send it without an `Idempotency-Key`, if it may be carried out twice.",
)
TOO_MANY_STREAMS: Final = ProblemType(
    "too-many-streams",
    429,
    "Too many streams",
    meaning="The access token has the maximum number of event streams open.",
    remedy="Close a stream that you no longer need, then try again after the number of seconds in `Retry-After`. To "
    "find edits of many polls without streams, use `GET /v1/polls` with `updatedSince`.",
)

INSECURE_SIGN_IN: Final = ProblemType(
    "insecure-sign-in",
    403,
    "Forbidden",
    meaning="Someone opened the page to sign in at an address without HTTPS, where others could read the access token.",
    remedy="Put a proxy with a certificate in front, and set `RESOURCE_URL` to its https URL. On a loopback address, "
    "HTTP is enough.",
)
FORGED_FORM: Final = ProblemType(
    "forged-form",
    403,
    "Forbidden",
    meaning="A form was sent by a page of another site, or by a page of another session. Nothing was changed.",
    remedy="Open the page here and repeat what you did. If a proxy in front changes the Host header, set "
    "`RESOURCE_URL` to the URL that browsers use.",
)

PROBLEM_TYPES: Final = (
    *RUNTIME_PROBLEM_TYPES,
    *GUARD_PROBLEM_TYPES,
    INVALID_POLL,
    INVALID_BALLOT,
    UNKNOWN_POLL,
    UNKNOWN_BALLOT,
    UNKNOWN_ENDPOINT,
    TOKEN_MISSING,
    TOKEN_INVALID,
    POLL_CLOSED,
    ALREADY_VOTED,
    NAMES_NOT_KEPT,
    INVALID_LINK,
    UNKNOWN_LINK,
    LINK_ENDED,
    LINK_FULL,
    ADDRESS_LIMIT,
    TOO_MANY_LINKS,
    VOTES_WOULD_BE_DROPPED,
    PROMISES_WOULD_BE_BROKEN,
    POLL_CHANGED,
    KEY_REUSED,
    KEY_IN_USE,
    BATCH_ROLLED_BACK,
    TOO_MANY_EDITS,
    TOO_MANY_STORED_RESPONSES,
    TOO_MANY_STREAMS,
    INSECURE_SIGN_IN,
    FORGED_FORM,
)
"""Every problem type that the polls service returns."""


def _errors(violations: Iterable[Violation]) -> tuple[ErrorDetail, ...]:
    """Return the first `MAX_ERRORS` of them."""
    return tuple(
        ErrorDetail(violation.reason, pointer=pointer_to([str(step) for step in violation.path]))
        for violation in islice(violations, MAX_ERRORS)
    )


def _invalid_poll(*errors: ErrorDetail) -> Problem:
    return Problem(INVALID_POLL, "The body is not a valid poll.", errors)


def _votes_would_be_dropped(error: VotesWouldBeDropped) -> Problem:
    votes = [count for count in error.votes.values() if count is not None]
    errors = [
        ErrorDetail(f"the option '{option_id[:100]}' {_votes(count)}; keep it", pointer="/options")
        for option_id, count in islice(error.votes.items(), MAX_ERRORS)
    ]
    lost = str(sum(votes)) if votes else f"their number is withheld; the poll has {_ballots(error.ballots)}"
    detail = f"The edit would drop votes: {lost}. Keep the options, or add 'dropVotes=true' to the query."
    return Problem(VOTES_WOULD_BE_DROPPED, detail, tuple(errors))


def _votes(count: int | None) -> str:
    if count is None:
        return "may have votes"
    return f"has {count} vote{'s' * (count > 1)}"


def _ballots(count: int) -> str:
    return f"{count} ballot{'s' * (count != 1)}"


def _promises_would_be_broken(error: PromisesWouldBeBroken) -> Problem:
    flags = ",".join(dict.fromkeys(finding.consequence for finding in error.findings))
    errors = [
        ErrorDetail(
            f"{finding.reason}; to change it nevertheless, allow {finding.consequence}",
            pointer=pointer_to([str(step) for step in finding.path]),
        )
        for finding in islice(error.findings, MAX_ERRORS)
    ]
    detail = (
        f"The poll has {_ballots(error.ballots)}, and the edit would break promises to those who cast them. Leave "
        f"these fields as they are, or add 'allow={flags}' to the query."
    )
    return Problem(PROMISES_WOULD_BE_BROKEN, detail, tuple(errors))


def _poll_changed(error: PollChanged) -> Problem:
    if not error.has_altered_tag:
        return Problem(POLL_CHANGED, "The poll has changed; read it again.")
    return Problem(
        POLL_CHANGED,
        "A weak ETag, which begins with W/, never meets If-Match (RFC 9110 §13.1.1), nor does one with a suffix such "
        "as -gzip. A proxy that compresses responses may have altered it; send the field 'etag' of the poll instead.",
    )


_BUSY: Final = unavailable("The poll is being changed by other requests; try again.")

PROBLEMS: Final[ProblemTable] = {
    InvalidPoll: lambda e: _invalid_poll(*_errors(e.violations)),
    InvalidBallot: lambda e: Problem(INVALID_BALLOT, "The body is not a valid ballot.", _errors(e.violations)),
    InvalidLink: lambda e: Problem(INVALID_LINK, "The body is not a valid voting link.", _errors(e.violations)),
    UnknownLink: lambda _: Problem(UNKNOWN_LINK, "The poll has no voting link with this id."),
    LinkEnded: lambda _: Problem(
        LINK_ENDED,
        "It is unknown, revoked or expired, or its poll was deleted. Ask the person who sent it to you for a new one.",
    ),
    LinkFull: lambda _: Problem(LINK_FULL, "As many participants as may have voted by this link."),
    AddressLimitReached: lambda _: Problem(
        ADDRESS_LIMIT, "As many participants as may have voted by this link from your address."
    ),
    LinksCreatedBefore: lambda _: Problem(KEY_REUSED, "The form was sent before, and its links were created then."),
    TooManyLinks: lambda e: Problem(TOO_MANY_LINKS, str(e)),
    UnknownTemplate: lambda e: _invalid_poll(ErrorDetail(str(e), pointer="/template")),
    UnknownPoll: lambda _: Problem(UNKNOWN_POLL, "No poll has this id, or this token has no access to it."),
    UnknownBallot: lambda _: Problem(UNKNOWN_BALLOT, "The participant has no ballot in this poll."),
    UnknownEndpoint: lambda _: Problem(UNKNOWN_ENDPOINT, "This is not the endpoint of the token's site."),
    PollClosed: lambda _: Problem(POLL_CLOSED, "The poll is closed: ballots can no longer be cast or withdrawn."),
    AlreadyVoted: lambda _: Problem(ALREADY_VOTED, "The participant has voted, and may not vote again in this poll."),
    NamesNotKept: lambda _: Problem(NAMES_NOT_KEPT, "The poll does not keep names, so its ballots cannot be listed."),
    VotesWouldBeDropped: _votes_would_be_dropped,
    PromisesWouldBeBroken: _promises_would_be_broken,
    PollChanged: _poll_changed,
    PollBusy: lambda _: _BUSY,
    KeyReused: lambda _: Problem(KEY_REUSED, "This Idempotency-Key was sent with another request; use another key."),
    KeyInUse: lambda _: Problem(
        KEY_IN_USE,
        "A request with this Idempotency-Key is still in progress.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    ),
    BatchRolledBack: lambda _: Problem(BATCH_ROLLED_BACK, "This item was rolled back because another item failed."),
    TooManyEdits: lambda _: Problem(
        TOO_MANY_EDITS,
        f"The poll was edited {MAX_CHANGES_PER_DAY:,} times within a day, which is the limit.",
        headers={"Retry-After": "3600"},
    ),
    TooManyStoredResponses: lambda _: Problem(
        TOO_MANY_STORED_RESPONSES,
        "The maximum number of responses is stored for this access token.",
        headers={"Retry-After": "600"},
    ),
    TooManyStreams: lambda e: Problem(
        TOO_MANY_STREAMS, f"This access token already has {e.limit} event streams open.", headers={"Retry-After": "10"}
    ),
    StreamLimitReached: lambda _: unavailable("This replica has the maximum number of event streams open; try again."),
    InsecureSignIn: lambda _: Problem(
        INSECURE_SIGN_IN,
        "Signing in needs HTTPS. Put a proxy with a certificate in front, and set `RESOURCE_URL` to its https URL.",
    ),
    ForgedForm: lambda e: Problem(FORGED_FORM, str(e)),
    UnstorableValue: lambda _: _invalid_poll(ErrorDetail("a value cannot be stored: it contains NUL or is too long")),
    LockTimeout: lambda _: _BUSY,
    DatabaseUnavailable: lambda _: unavailable("The database of the polls service did not respond in time; try again."),
}


def _as_contract(row: Callable[[Any], Problem]) -> Callable[[Any], Problem]:
    """Return the row with status 400: the Team Voice contract has neither 409 nor 422."""
    return lambda error: msgspec.structs.replace(row(error), status=400)


CONTRACT_PROBLEMS: Final[ProblemTable] = {
    TokenMissing: lambda _: Problem(TOKEN_MISSING, "Add the access token to the URL: '&token='."),
    TokenInvalid: lambda e: Problem(TOKEN_INVALID, str(e)),
    UnknownPoll: lambda _: Problem(UNKNOWN_POLL, "There is no poll with this id at this place."),
    InvalidBody: _as_contract(lambda e: _invalid_poll(*e.errors)),
    **{
        kind: _as_contract(PROBLEMS[kind])
        for kind in (InvalidPoll, UnstorableValue, VotesWouldBeDropped, PromisesWouldBeBroken)
    },
}
"""The rows that differ under `/x1`: the contract has 403 where RFC 6750 has 401, and 400 where `/v1` has 409 or 422."""
