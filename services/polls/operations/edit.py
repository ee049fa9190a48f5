"""Replace or remove a poll, one writer at a time, with what that means for the ballots that are in it."""

from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from services.polls.domain.edit import Effect, VotesWouldBeDropped, hides_names, lost_votes
from services.polls.domain.poll import PollSpec, UnknownPoll, check
from services.polls.domain.state import PollState
from services.polls.storage import ballots, polls
from services.polls.storage.polls import MANY_LIMIT_S
from shared.runtime.postgres.database import Connection, Database

Require = Callable[[PollState], None]
"""Raises where what is asked for may not be done to the poll as it is now."""


class Edited(Struct, frozen=True):
    """A poll as an edit has left it."""

    state: PollState
    effect: Effect


async def edit_poll(
    database: Database,
    site: str,
    poll_id: UUID,
    change: Callable[[PollState], PollSpec],
    *,
    require: Require,
    drop_votes: bool,
) -> Edited:
    """Give the poll the draft that `change` makes of it. Raises what `edit_within` raises."""
    async with database.transaction(MANY_LIMIT_S) as transaction:
        return await edit_within(transaction, site, poll_id, change, require=require, drop_votes=drop_votes)


async def remove_poll(database: Database, site: str, poll_id: UUID, *, require: Require) -> None:
    """Remove the poll with its ballots. Raises what `remove_within` raises."""
    async with database.transaction(MANY_LIMIT_S) as transaction:
        await remove_within(transaction, site, poll_id, require=require)


async def edit_within(
    connection: Connection,
    site: str,
    poll_id: UUID,
    change: Callable[[PollState], PollSpec],
    *,
    require: Require,
    drop_votes: bool,
) -> Edited:
    """Give the poll the draft that `change` makes of it, as a part of a transaction; what is no change is no edit.

    Raises `UnknownPoll`, `InvalidPoll`, what `require` and `change` raise, and `VotesWouldBeDropped` unless told to.
    """
    before = await _locked(connection, site, poll_id, require)
    draft = check(change(before))
    if draft == before.poll.draft:
        return Edited(before, Effect())
    effect = await _apply(connection, before, draft, drop_votes=drop_votes)
    await polls.update_poll(connection, site, poll_id, draft)
    return Edited(await _read(connection, site, poll_id), effect)


async def remove_within(connection: Connection, site: str, poll_id: UUID, *, require: Require) -> None:
    """Remove the poll with its ballots, as a part of a transaction. Raises `UnknownPoll` and what `require` raises."""
    await _locked(connection, site, poll_id, require)
    await polls.delete_poll(connection, site, poll_id)


async def _locked(connection: Connection, site: str, poll_id: UUID, require: Require) -> PollState:
    require(await _read(connection, site, poll_id))  # who may not do it shall not hold up those who may
    await polls.lock_polls(connection, site, [poll_id])
    state = await _read(
        connection, site, poll_id
    )  # in a statement of its own: it sees every ballot from before the lock
    require(state)
    return state


async def _apply(connection: Connection, before: PollState, draft: PollSpec, *, drop_votes: bool) -> Effect:
    poll = before.poll
    lost = lost_votes(poll.draft, draft, before.tally.counts)
    votes = {option_id: count for option_id, count in lost.items() if count}
    if votes and not drop_votes:
        raise VotesWouldBeDropped(votes)
    dropped = await ballots.drop_votes(connection, poll.id, list(votes)) if votes else 0
    anonymized = await ballots.anonymize(connection, poll.id) if hides_names(poll.draft, draft) else 0
    return Effect(tuple(lost), sum(votes.values()), dropped, anonymized)


async def _read(connection: Connection, site: str, poll_id: UUID) -> PollState:
    state = await polls.select_poll(connection, site, poll_id)
    if state is None:
        raise UnknownPoll
    return state
