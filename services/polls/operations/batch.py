"""Make several changes of polls in one transaction, each in a savepoint of its own."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from services.polls.domain.audit import Actor
from services.polls.domain.batch import BatchItem, ItemResult, Op
from services.polls.domain.edit import PollDeletion, PollEdit
from services.polls.domain.errors import BatchRolledBack
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.domain.new_poll import NewPoll
from services.polls.operations.create import Creation, create_within
from services.polls.operations.edit import delete_within, edit_within
from services.polls.operations.idempotency import claim_key, store_response
from services.polls.responses import batch_response, permitted_items
from services.polls.storage import polls
from services.polls.storage.polls import ALL_BALLOTS_LIMIT_S
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.scope import Action, Place
from shared.guard import Caller
from shared.runtime.postgres.database import Connection, Database, DatabaseUnavailable, Transaction

_ACTIONS: Final[Mapping[Op, Action]] = {
    "create": Action.CREATE,
    "update": Action.UPDATE,
    "close": Action.UPDATE,
    "delete": Action.DELETE,
}


class BatchEditor:
    """Carries out batches. Create one instance per process."""

    def __init__(self, database: Database, feed: PollFeed) -> None:
        self._database = database
        self._feed = feed

    async def apply(
        self,
        caller: Caller,
        items: Sequence[BatchItem],
        actor: Actor,
        *,
        is_atomic: bool,
        key: IdempotencyKey | None,
    ) -> StoredResponse:
        """Carry out the items in order, and return the response with the outcome of each.

        An item that fails is rolled back by itself; if the batch is atomic, all are. With a key, the response of a
        batch that has changed something is stored, and returned again, provided that the caller may still do what it
        reports. A batch that has changed nothing leaves its key free.

        Raise `KeyReused`, `KeyInUse`, `TooManyStoredResponses` or, for a stored response, `InsufficientScope`.
        """
        try:
            async with self._database.transaction(ALL_BALLOTS_LIMIT_S) as transaction:
                stored = await claim_key(transaction, key)
                if stored is not None:
                    await _require_permissions(transaction, caller, items, stored)
                    return stored
                results = await _apply_all(transaction, caller, items, actor)
                if is_atomic:
                    _require_success(results)
                response = batch_response(items, results, committed=True)
                _require_change(results, response)
                await store_response(transaction, key, response)
        except _RolledBack as rolled_back:
            return batch_response(items, rolled_back.results, committed=False)
        except _NothingChanged as unchanged:
            return unchanged.response
        for poll_id in _changed_polls(items, results):
            self._feed.announce(poll_id)
        return response


class _RolledBack(Exception):
    """An atomic batch was rolled back."""

    def __init__(self, results: Sequence[ItemResult]) -> None:
        super().__init__()
        self.results = [result if result.error else ItemResult(error=BatchRolledBack()) for result in results]


class _NothingChanged(Exception):
    """A batch has changed nothing, so its transaction is rolled back, and its key with it."""

    def __init__(self, response: StoredResponse) -> None:
        super().__init__()
        self.response = response


def _require_change(results: Sequence[ItemResult], response: StoredResponse) -> None:
    if not any(result.is_changed for result in results):
        raise _NothingChanged(response)


def _require_success(results: Sequence[ItemResult]) -> None:
    if any(result.error for result in results):
        raise _RolledBack(results)


async def _apply_all(
    transaction: Transaction, caller: Caller, items: Sequence[BatchItem], actor: Actor
) -> list[ItemResult]:
    await _lock_polls(transaction, caller, items)
    results = []
    for item in items:
        try:
            async with transaction.savepoint():
                results.append(await _apply(transaction, caller, item, actor))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the response reports it, and logs what it does not expect
            results.append(ItemResult(error=error))
    return results


async def _lock_polls(connection: Connection, caller: Caller, items: Sequence[BatchItem]) -> None:
    """Lock all polls of the batch that the caller may change in one statement, so that batches cannot deadlock."""
    places = await polls.select_places(connection, caller.site, _poll_ids(items))
    changeable = [
        poll_id
        for poll_id, place in places.items()
        if caller.may(Action.UPDATE, place) or caller.may(Action.DELETE, place)
    ]
    await polls.lock_polls(connection, caller.site, sorted(changeable))


async def _apply(connection: Connection, caller: Caller, item: BatchItem, actor: Actor) -> ItemResult:
    match item.change:
        case NewPoll() as new:
            caller.require(Action.CREATE, new.place)
            creation = Creation(caller.site, new.place, new.to_spec(), actor)
            return ItemResult(state=await create_within(connection, creation), is_changed=True)
        case PollEdit() as edit:
            edited = await edit_within(connection, caller, edit, actor)
            return ItemResult(state=edited.state, effect=edited.effect, is_changed=edited.is_changed)
        case PollDeletion() as deletion:
            await delete_within(connection, caller, deletion, actor)
            return ItemResult(is_changed=True)
        case error:
            raise error


async def _require_permissions(
    connection: Connection, caller: Caller, items: Sequence[BatchItem], stored: StoredResponse
) -> None:
    """Raise `InsufficientScope` unless the caller may do each item that it was permitted when the response was stored.

    That includes items that failed for another reason: the number of votes in a refusal is information too.
    """
    permitted = permitted_items(items, stored)
    places = await polls.select_places(connection, caller.site, _poll_ids([item for item, _ in permitted]))
    for item, created_at in permitted:
        place = created_at or _place_of(item, places)
        if place is not None:
            caller.require(_ACTIONS[item.op], place)


def _place_of(item: BatchItem, places: Mapping[UUID, Place]) -> Place | None:
    return places.get(item.change.poll_id) if isinstance(item.change, PollEdit | PollDeletion) else None


def _poll_ids(items: Sequence[BatchItem]) -> set[UUID]:
    return {item.change.poll_id for item in items if isinstance(item.change, PollEdit | PollDeletion)}


def _changed_polls(items: Sequence[BatchItem], results: Sequence[ItemResult]) -> set[UUID]:
    return _poll_ids([item for item, result in zip(items, results, strict=True) if result.error is None])
