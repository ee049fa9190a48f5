"""`/v1/polls:batch`: several changes in one request, each with its own outcome."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import msgspec
from aiohttp import web

from services.polls.app_keys import DATABASE, POLL_FEED
from services.polls.domain.poll import PollSpec, UnknownPoll, check, closed_at
from services.polls.domain.state import PollState
from services.polls.handlers.asking import require
from services.polls.handlers.conditions import require_unchanged
from services.polls.handlers.once import kept_response, once_of
from services.polls.handlers.parameters import IN_USE, BatchOnceOnly
from services.polls.operations.answer_once import answer_once
from services.polls.operations.batch import UndoneWithOthers, each_by_itself
from services.polls.operations.edit import Require, edit_within, remove_within
from services.polls.payloads import examples
from services.polls.payloads.batch import (
    EXAMPLE,
    Batch,
    CloseItem,
    CreateItem,
    DeleteItem,
    Item,
    Op,
    Outcome,
    Outcomes,
    UpdateItem,
)
from services.polls.payloads.polls import PollPayload, etag_of
from services.polls.problems import PROBLEMS
from services.polls.storage import polls
from services.polls.storage.answers import Answer as KeptAnswer
from services.polls.storage.polls import MANY_LIMIT_S
from shared.contract.scope import Action, Place
from shared.contract.token import SECRET_PATTERN
from shared.guard import caller
from shared.guard.problems import GUARD_PROBLEMS
from shared.runtime.http.application import extend_deadline
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.path import read_uuid
from shared.runtime.http.preconditions import read_if_match
from shared.runtime.http.problem import RUNTIME_PROBLEMS, ProblemTable, document_of, problem_for
from shared.runtime.postgres.database import Transaction
from shared.runtime.process.redaction import redactor

_redact: Final = redactor(SECRET_PATTERN)
"""A problem may repeat what was sent; those of items are in an answer that is none, and may be kept."""

_TOLD: Final[ProblemTable] = {**RUNTIME_PROBLEMS, **GUARD_PROBLEMS, **PROBLEMS}


class _Undone(Exception):
    """Nothing of an atomic batch is done, because some items failed."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__()
        self.outcomes = outcomes


@endpoint(
    summary="Change several polls",
    description="Up to 100, in one transaction. Each item has its own outcome; with `atomic` all are done or none.",
    tags=("polls",),
    headers=BatchOnceOnly,
    body=Batch,
    body_example=EXAMPLE,
    responses={
        200: Response(
            description="What became of each item, also where some or all have failed.",
            body=Outcomes,
            example=examples.OUTCOMES,
        )
    },
    problems={**IN_USE, 422: "The body, or the Idempotency-Key, cannot be used."},
)
async def change_polls(request: web.Request) -> web.Response:
    """200 with the outcome of each item, whatever these are."""
    require_media_type(request, JSON)
    content = await request.read()
    batch = read_json(content, Batch)
    once = once_of(request, content)
    extend_deadline(request, MANY_LIMIT_S)
    changes = _Changes(request, batch)
    try:
        answer = await answer_once(request.app[DATABASE], once, changes.make, MANY_LIMIT_S)
    except _Undone as undone:
        return kept_response(_answer(Outcomes(committed=False, items=undone.outcomes)))
    if not changes.are_made:
        await _require_still(request, batch.items, answer)
    for poll_id in changes.changed:
        request.app[POLL_FEED].announce(poll_id)
    return kept_response(answer)


class _Changes:
    """The items of one batch, and the polls that have changed by them."""

    def __init__(self, request: web.Request, batch: Batch) -> None:
        self._request = request
        self._batch = batch
        self._site = caller(request).site
        self.are_made = False
        self.changed: set[UUID] = set()

    async def make(self, transaction: Transaction) -> KeptAnswer:
        """Make them all. Raises `_Undone` where they hang together and some have failed."""
        items = self._batch.items
        self.are_made = True
        await self._lock(transaction)
        made = await each_by_itself(transaction, [partial(self._make, transaction, item) for item in items])
        if self._batch.atomic and any(isinstance(each, Exception) for each in made):
            undone = [each if isinstance(each, Exception) else UndoneWithOthers() for each in made]
            raise _Undone(_told(items, undone))
        return _answer(Outcomes(committed=True, items=_told(items, made)))

    async def _lock(self, transaction: Transaction) -> None:
        """All at once, so that no two batches wait for each other; and nothing that others alone may change."""
        named = {_id_of(item) for item in self._batch.items} - {_NO_ID}
        places = await polls.select_places(transaction, self._site, named)
        changeable = [poll_id for poll_id, place in places.items() if self._may_change(place)]
        await polls.lock_polls(transaction, self._site, sorted(changeable))

    def _may_change(self, place: Place) -> bool:
        return any(caller(self._request).may(action, place) for action in (Action.UPDATE, Action.DELETE))

    async def _make(self, transaction: Transaction, item: Item) -> Outcome:
        match item:
            case CreateItem():
                return await self._create(transaction, item)
            case UpdateItem():
                return await self._edit(transaction, item, lambda state: item.poll.to_draft(state))
            case CloseItem():
                return await self._edit(transaction, item, lambda state: closed_at(state.poll.draft, state.at))
            case DeleteItem():
                return await self._delete(transaction, item)

    async def _create(self, transaction: Transaction, item: CreateItem) -> Outcome:
        place = item.poll.location.to_place()
        caller(self._request).require(Action.CREATE, place)
        state = await polls.insert_poll(transaction, self._site, place, uuid4(), check(item.poll.to_draft()))
        return Outcome(op="create", status=201, id=str(state.poll.id), etag=etag_of(state), poll=PollPayload.of(state))

    async def _edit(
        self, transaction: Transaction, item: UpdateItem | CloseItem, change: Callable[[PollState], PollSpec]
    ) -> Outcome:
        poll_id, required = _poll_id(item), self._required(Action.UPDATE, item)
        drop_votes = isinstance(item, UpdateItem) and item.drop_votes
        edited = await edit_within(transaction, self._site, poll_id, change, require=required, drop_votes=drop_votes)
        self.changed.add(poll_id)
        payload = PollPayload.of(edited.state, effect=edited.effect)
        return Outcome(op=_op(item), status=200, id=item.id, etag=etag_of(edited.state), poll=payload)

    async def _delete(self, transaction: Transaction, item: DeleteItem) -> Outcome:
        poll_id, required = _poll_id(item), self._required(Action.DELETE, item)
        await remove_within(transaction, self._site, poll_id, require=required)
        self.changed.add(poll_id)
        return Outcome(op="delete", status=204, id=item.id)

    def _required(self, action: Action, item: UpdateItem | CloseItem | DeleteItem) -> Require:
        expected = None if item.if_match is None else read_if_match(item.if_match)

        def check_state(state: PollState) -> None:
            require(self._request, action, state.poll.place)
            require_unchanged(state, expected)

        return check_state


_NO_ID: Final = UUID(int=0)


def _id_of(item: Item) -> UUID:
    """The id of the poll that the item names, or one that no poll has."""
    return _NO_ID if isinstance(item, CreateItem) else read_uuid(item.id) or _NO_ID


def _poll_id(item: UpdateItem | CloseItem | DeleteItem) -> UUID:
    poll_id = read_uuid(item.id)
    if poll_id is None:
        raise UnknownPoll
    return poll_id


def _op(item: Item) -> Op:
    return item.__struct_config__.tag  # type: ignore[return-value]


def _told(items: Sequence[Item], made: Sequence[Outcome | Exception]) -> list[Outcome]:
    return [
        _failed(number, item, each) if isinstance(each, Exception) else each
        for number, (item, each) in enumerate(zip(items, made, strict=True))
    ]


def _failed(number: int, item: Item, error: Exception) -> Outcome:
    problem = problem_for(error, _TOLD)
    inside = f"/items/{number}" + ("/poll" if isinstance(item, CreateItem | UpdateItem) else "")
    errors = tuple(msgspec.structs.replace(each, pointer=inside + (each.pointer or "")) for each in problem.errors)
    document = document_of(msgspec.structs.replace(problem, errors=errors))
    named = None if isinstance(item, CreateItem) else item.id
    told = msgspec.json.encode(Outcome(op=_op(item), status=document.status, id=named, problem=document))
    return msgspec.json.decode(_redact(told.decode()), type=Outcome)


async def _require_still(request: web.Request, items: Sequence[Item], answer: KeptAnswer) -> None:
    """An answer that was given before is for a token that may still do what it tells of, also where that has failed,
    for of votes that would be dropped it tells how many. Raises `InsufficientScope`.
    """
    outcomes = msgspec.json.decode(answer.body, type=Outcomes).items
    told = [each for each in zip(items, outcomes, strict=True) if each[1].status in _LET_THROUGH]
    named = {_id_of(item) for item, _ in told} - {_NO_ID}
    places = await polls.select_places(request.app[DATABASE], caller(request).site, named)
    for item, outcome in told:
        place = places.get(_id_of(item)) if outcome.poll is None else outcome.poll.location.to_place()
        if place is not None:
            caller(request).require(_ACTIONS[_op(item)], place)


_LET_THROUGH: Final = frozenset({200, 201, 204, 409, 412, 422})
"""With what an item ends that its token was allowed; of the others nothing is told that it may not know."""
_ACTIONS: Final[Mapping[Op, Action]] = {
    "create": Action.CREATE,
    "update": Action.UPDATE,
    "close": Action.UPDATE,
    "delete": Action.DELETE,
}


def _answer(outcomes: Outcomes) -> KeptAnswer:
    return KeptAnswer(200, {}, msgspec.json.encode(outcomes))
