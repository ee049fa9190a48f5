"""The complete responses to requests that may carry an `Idempotency-Key`.

Operations create them, not handlers, because a response is stored in the transaction whose outcome it reports.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from services.polls.domain.batch import BatchItem, ItemResult
from services.polls.domain.idempotency import StoredResponse
from services.polls.domain.state import PollState
from services.polls.payloads.batch import Outcome, Outcomes
from services.polls.payloads.documents import encode_poll
from services.polls.problems import PROBLEMS
from shared.contract.scope import Place
from shared.contract.token import SECRET_START
from shared.guard import REDACTED_PATTERN
from shared.guard.problems import GUARD_PROBLEMS
from shared.runtime.http.problem import RUNTIME_PROBLEMS, ProblemTable, problem_document, problem_for
from shared.runtime.process.redaction import redactor

_redact: Final = redactor(REDACTED_PATTERN, SECRET_START)
_ITEM_PROBLEMS: Final[ProblemTable] = {**RUNTIME_PROBLEMS, **GUARD_PROBLEMS, **PROBLEMS}
_PERMITTED: Final = frozenset({200, 201, 204, 409, 412, 422})
"""The statuses of an item that its token was permitted to do, also if it failed for another reason."""


def created_response(state: PollState) -> StoredResponse:
    """Return 201 with a new poll."""
    headers = {"Location": f"/v1/polls/{state.poll.id}", "ETag": state.etag}
    return StoredResponse(201, headers, encode_poll(state))


def batch_response(items: Sequence[BatchItem], results: Sequence[ItemResult], *, committed: bool) -> StoredResponse:
    """Return 200 with the outcome of each item."""
    outcomes = [
        _failed_outcome(number, item, result.error) if result.error else Outcome.of(item, result)
        for number, (item, result) in enumerate(zip(items, results, strict=True))
    ]
    return StoredResponse(200, {}, msgspec.json.encode(Outcomes(committed=committed, items=outcomes)))


def permitted_items(items: Sequence[BatchItem], stored: StoredResponse) -> list[tuple[BatchItem, Place | None]]:
    """Return the items that the stored response to them shows as permitted, each with the place of its poll.

    The place is `None` if the outcome does not show it.
    """
    outcomes = msgspec.json.decode(stored.body, type=_StoredOutcomes).items
    return [
        (item, None if outcome.poll is None else Place(*astuple(outcome.poll.location)))
        for item, outcome in zip(items, outcomes, strict=True)
        if outcome.status in _PERMITTED
    ]


class _StoredLocation(Struct, frozen=True):
    workspace: str
    content: str
    container: str = ""


class _StoredPoll(Struct, frozen=True):
    location: _StoredLocation


class _StoredOutcome(Struct, frozen=True):
    status: int
    poll: _StoredPoll | None = None


class _StoredOutcomes(Struct, frozen=True):
    """The part of `Outcomes` that `permitted_items` needs. Another release may have stored other fields besides."""

    items: list[_StoredOutcome]


def _failed_outcome(number: int, item: BatchItem, error: Exception) -> Outcome:
    """Return the problem of an item, with pointers into the body of the batch, and without secrets.

    What redacts problem documents does not see those inside a response of 200.
    """
    problem = problem_for(error, _ITEM_PROBLEMS)
    prefix = f"/items/{number}" + ("/poll" if item.op in ("create", "update") else "")
    errors = tuple(replace(each, pointer=prefix + (each.pointer or "")) for each in problem.errors)
    document = problem_document(replace(problem, errors=errors))
    outcome = Outcome(op=item.op, status=document.status, id=item.id, problem=document)
    return msgspec.json.decode(_redact(msgspec.json.encode(outcome).decode()), type=Outcome)
