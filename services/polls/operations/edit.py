"""Edit or delete a poll, one writer at a time, and change its ballots accordingly."""

from uuid import UUID

from services.polls.domain.audit import Actor, AuditHead, action_of, audit_record
from services.polls.domain.consequence import Consequence
from services.polls.domain.edit import (
    EditedPoll,
    Effect,
    PollDeletion,
    PollEdit,
    apply_edit,
    count_lost_votes,
    hides_names,
)
from services.polls.domain.errors import PollChanged, UnknownPoll
from services.polls.domain.poll import PollSpec, validate
from services.polls.domain.promises import require_allowed
from services.polls.domain.state import PollState
from services.polls.operations.authorization import audience_of, require_action
from services.polls.operations.poll_semaphores import PollSemaphores
from services.polls.payloads.audit import difference, whole_poll
from services.polls.storage import audit, ballots, links, polls
from services.polls.storage.polls import ALL_BALLOTS_LIMIT_S
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.scope import Action
from shared.guard import Caller
from shared.runtime.postgres.database import Connection, Database


class PollEditor:
    """Edits and deletes polls, and announces the changes. Create one instance per process."""

    def __init__(self, database: Database, semaphores: PollSemaphores, feed: PollFeed) -> None:
        self._database = database
        self._semaphores = semaphores
        self._feed = feed

    async def edit(self, caller: Caller, edit: PollEdit, actor: Actor) -> EditedPoll:
        """Edit a poll. An edit that changes nothing leaves its version as it is, and no record.

        Raise `UnknownPoll`, `InsufficientScope`, `PollChanged`, `InvalidPoll`, `VotesWouldBeDropped`,
        `PromisesWouldBeBroken` or `TooManyEdits`.
        """
        async with self._semaphores.of(edit.poll_id), self._database.transaction(ALL_BALLOTS_LIMIT_S) as transaction:
            edited = await edit_within(transaction, caller, edit, actor)
        self._feed.announce(edit.poll_id)
        return edited

    async def delete(self, caller: Caller, deletion: PollDeletion, actor: Actor) -> None:
        """Delete a poll with its ballots. Raise `UnknownPoll`, `InsufficientScope` or `PollChanged`."""
        poll_id = deletion.poll_id
        async with self._semaphores.of(poll_id), self._database.transaction(ALL_BALLOTS_LIMIT_S) as transaction:
            await delete_within(transaction, caller, deletion, actor)
        self._feed.announce(poll_id)


async def edit_within(connection: Connection, caller: Caller, edit: PollEdit, actor: Actor) -> EditedPoll:
    """Edit a poll as `PollEditor.edit` does, inside a transaction of the caller."""
    before, head = await _lock(connection, caller, Action.UPDATE, edit)
    spec = validate(apply_edit(before, edit.content), before.poll.spec)
    if spec == before.poll.spec:
        return EditedPoll(before, Effect(), is_changed=False)
    head.require_room(before.at)
    findings = require_allowed(before, spec, edit.allowed, audience_of(caller, before.poll.place))
    consequences = tuple(dict.fromkeys(finding.consequence for finding in findings))
    effect = await _change_ballots(connection, before, spec, consequences)
    changed = {**before.poll.changed_after_votes, **dict.fromkeys(consequences, before.at)}
    await polls.update_poll(connection, caller.site, edit.poll_id, spec, changed)
    after = await _select(connection, caller.site, edit.poll_id)
    fields = difference(before.poll.spec, spec, effect)
    record = audit_record(action_of(before, after), before, head, actor, *fields)
    await audit.append_audit(connection, caller.site, after.poll, record)
    return EditedPoll(after, effect)


async def delete_within(connection: Connection, caller: Caller, deletion: PollDeletion, actor: Actor) -> None:
    """Delete a poll as `PollEditor.delete` does, inside a transaction of the caller."""
    state, head = await _lock(connection, caller, Action.DELETE, deletion)
    record = audit_record("poll.delete", state, head, actor, before=whole_poll(state), after={})
    await audit.append_audit(connection, caller.site, state.poll, record)
    await polls.delete_poll(connection, caller.site, deletion.poll_id)


async def _lock(
    connection: Connection, caller: Caller, action: Action, change: PollEdit | PollDeletion
) -> tuple[PollState, AuditHead]:
    """Lock and return the poll and the end of its audit trail, if the caller may change it and it is as expected.

    Check the permission before the lock too: a caller without it must not make others wait. Read the poll again after
    the lock: only a statement that begins then sees every ballot that was cast before it.
    """
    _require_change(await _select(connection, caller.site, change.poll_id), caller, action, change)
    await polls.lock_polls(connection, caller.site, [change.poll_id])
    locked = await polls.select_locked_poll(connection, caller.site, change.poll_id)
    if locked is None:
        raise UnknownPoll
    _require_change(locked[0], caller, action, change)
    return locked


def _require_change(state: PollState, caller: Caller, action: Action, change: PollEdit | PollDeletion) -> None:
    if change.place not in (None, state.poll.place):
        raise UnknownPoll
    require_action(caller, state.poll.place, action)
    if change.expected is not None and not change.expected.allows(state.etag):
        raise PollChanged(has_altered_tag=change.expected.has_altered_tag)


async def _change_ballots(
    connection: Connection, before: PollState, after: PollSpec, consequences: tuple[Consequence, ...]
) -> Effect:
    poll = before.poll
    lost = count_lost_votes(poll.spec, after, before.tally.counts)
    votes = {option_id: count for option_id, count in lost.items() if count}
    dropped = await ballots.drop_votes(connection, poll.id, list(votes)) if votes else 0
    anonymized = 0
    if hides_names(poll.spec, after):
        anonymized = await ballots.anonymize(connection, poll.id)
        await links.erase_names(connection, poll.id)
    return Effect(tuple(lost), sum(votes.values()), dropped, anonymized, consequences)


async def _select(connection: Connection, site: str, poll_id: UUID) -> PollState:
    state = await polls.select_poll(connection, site, poll_id)
    if state is None:
        raise UnknownPoll
    return state
