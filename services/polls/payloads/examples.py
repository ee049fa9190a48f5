"""The examples of the OpenAPI document: one poll, as each operation returns it.

They are instances of the payload types. A test sends the request of each operation and compares the response.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from services.polls.domain.audit import Actor, AuditHead, audit_record
from services.polls.domain.edit import Effect
from services.polls.domain.poll import Poll
from services.polls.domain.results import Audience, Tally, results_of
from services.polls.domain.state import PollState
from services.polls.payloads.audit import PollAuditPage, whole_poll
from services.polls.payloads.ballots import BallotPage, BallotPayload, CommentPage, CommentPayload
from services.polls.payloads.batch import EXAMPLE as BATCH
from services.polls.payloads.batch import Outcome, Outcomes
from services.polls.payloads.events import Event, Position
from services.polls.payloads.fields import POLL_ID
from services.polls.payloads.polls import CREATE_EXAMPLE, PATCH_EXAMPLE, CreatePoll, PollPage, PollPayload
from services.polls.payloads.results import ResultsPayload
from services.polls.payloads.x1 import ContractPoll
from shared.runtime.http.merge_patch import merge

_MADE_AT: Final = datetime(2026, 11, 23, 10, tzinfo=UTC)


def _state(body: object, tally: Tally, version: int = 1) -> PollState:
    create = msgspec.convert(body, CreatePoll)
    poll = Poll(UUID(POLL_ID), create.location.to_place(), create.to_new_poll().to_spec(), version, _MADE_AT, _MADE_AT)
    return PollState(poll, tally, revision=tally.votes, at=_MADE_AT)


_TALLY: Final = Tally(3, 3, {"mon": 2, "tue": 1})
_STATE: Final = _state(CREATE_EXAMPLE, _TALLY)

POLL: Final = PollPayload.of(_STATE)
UNCHANGED: Final = PollPayload.of(_STATE, effect=Effect())
PATCHED: Final = PollPayload.of(_state(merge(CREATE_EXAMPLE, PATCH_EXAMPLE), _TALLY, version=2), effect=Effect())
PAGE: Final = PollPage([POLL], next=None)
RESULTS: Final = ResultsPayload.of(
    results_of(_STATE.poll.spec, _STATE.tally, now=_MADE_AT, is_closed=False, audience=Audience.PUBLIC)
)
CHOICE: Final = {"optionIds": ["mon"], "name": "Ada Lovelace", "comment": "After lunch"}
BALLOT: Final = BallotPayload("ada", ["mon"], "Ada Lovelace", "After lunch", _MADE_AT)
COMMENTS: Final = CommentPage([CommentPayload("After lunch", 1)], next=None)
BALLOTS: Final = BallotPage([BALLOT], next=None)
AUDIT: Final = PollAuditPage(
    [
        audit_record(
            "poll.create",
            _state(CREATE_EXAMPLE, Tally(0, 0, {})),
            AuditHead(),
            Actor("tok_3JDxtsz4ic3g56zQ", "203.0.113.7", "d1c9f8a4a3b2c1d0"),
            before={},
            after=whole_poll(_state(CREATE_EXAMPLE, Tally(0, 0, {}))),
        )
    ],
    next=None,
)
TICKET: Final = "pge_" + "0123456789abcdef" * 4
FIRST_EVENT: Final = Event("poll", msgspec.json.encode(POLL), Position("1", status="open")).encode().decode()
OUTCOMES: Final = Outcomes(
    committed=True,
    items=[
        Outcome(
            op="create", status=201, id=POLL_ID, etag='"1"', poll=PollPayload.of(_state(item["poll"], Tally(0, 0, {})))
        )
        for item in BATCH["items"]
    ],
)
CONTRACT_POLL: Final = ContractPoll.of(_STATE)
