"""Create, list, revoke and open voting links.

A link is created and revoked while the poll is locked. So a vote by a link is either stored before its revocation, or
finds the link revoked: see `polls.admits` in the migrations.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.audit import Actor, AuditHead
from services.polls.domain.errors import LinkEnded, LinksCreatedBefore, TooManyLinks, UnknownLink, UnknownPoll
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.domain.link import (
    MAX_LINKS_PER_POLL,
    MAX_SHARED_LINKS_PER_DAY,
    Invitation,
    Link,
    LinkFilter,
    LinkKind,
    LinkPosition,
    Sharing,
    require_future,
)
from services.polls.domain.participant import Participants
from services.polls.domain.state import PollState
from services.polls.domain.voter_pass import VoterPass
from services.polls.operations.authorization import audience_of, load_authorized_poll
from services.polls.operations.idempotency import claim_key, store_response
from services.polls.operations.link_records import record_creation, record_revocation
from services.polls.operations.new_links import Creation, PersonalSecret, encryptor_of, personal_links, shared_link
from services.polls.operations.poll_semaphores import PollSemaphores
from services.polls.storage import audit, links, polls
from services.polls.storage.poll_reads import PollReads
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.scope import Action
from shared.contract.token import VOTING_LINK, digest, is_well_formed, mint
from shared.guard import Caller
from shared.runtime.crypto.encryption import DecryptionError
from shared.runtime.postgres.database import Connection, Database


class CreatedLink(NamedTuple):
    """A new link with its secret, which is not stored. `participant` is the one of a personal link."""

    link: Link
    secret: str
    participant: Invitation | None = None


class LinkPage(Struct, frozen=True):
    """Links of a poll, in the order of their creation, each with the time at which its status holds."""

    items: Sequence[tuple[Link, datetime]]
    has_more: bool


class VotingLinks:
    """Creates, lists, revokes and opens links, and announces revocations. Create one instance per process."""

    def __init__(
        self,
        database: Database,
        reads: PollReads,
        participants: Participants,
        semaphores: PollSemaphores,
        feed: PollFeed,
    ) -> None:
        self._database = database
        self._reads = reads
        self._participants = participants
        self._semaphores = semaphores
        self._feed = feed

    async def share(
        self,
        caller: Caller,
        poll_id: UUID,
        sharing: Sharing,
        expires_at: datetime | None,
        actor: Actor,
        key: IdempotencyKey | None = None,
    ) -> CreatedLink:
        """Create a shared link, and leave a record of it: it lets everyone vote who gets to know it.

        Raise `UnknownPoll`, `InsufficientScope`, `InvalidLink` or `TooManyLinks`, and with a key `LinksCreatedBefore`
        if this was done before, or what `claim_key` raises.
        """
        await self._authorize(caller, poll_id)
        secret = mint(VOTING_LINK)
        async with self._semaphores.of(poll_id), self._database.transaction() as transaction:
            await _claim(transaction, key)
            state, head = await self._lock(transaction, caller.site, poll_id)
            await self._require_room(transaction, state, expires_at, 1)
            await _require_room_for_shared(transaction, state)
            creation = Creation(poll_id, state.at, caller.token_id, expires_at)
            new = shared_link(creation, sharing, secret)
            await links.insert_links(transaction, poll_id, [new])
            await record_creation(transaction, caller.site, state, head, actor, new.link)
        return CreatedLink(_shown(new.link, state, caller), secret)

    async def invite(
        self,
        caller: Caller,
        poll_id: UUID,
        invitations: Sequence[Invitation],
        expires_at: datetime | None,
        key: IdempotencyKey | None = None,
    ) -> list[CreatedLink]:
        """Create a personal link for each participant. It leaves no record, as casting a ballot for one does not.

        Raise `UnknownPoll`, `InsufficientScope`, `InvalidLink` or `TooManyLinks`, and with a key what `share` raises.
        """
        before = await self._authorize(caller, poll_id)
        creation = Creation(poll_id, before.at, caller.token_id, expires_at)
        made = await asyncio.to_thread(personal_links, creation, invitations, self._participants)
        async with self._semaphores.of(poll_id), self._database.transaction() as transaction:
            await _claim(transaction, key)
            state, _ = await self._lock(transaction, caller.site, poll_id)
            await self._require_room(transaction, state, expires_at, len(invitations))
            if state.poll.spec.settings.save_participant_names:
                made = [_with_name(each) for each in made]
            await links.insert_links(transaction, poll_id, [each.new for each in made])
        return [CreatedLink(each.new.link, each.secret, each.invitation) for each in made]

    async def list(
        self,
        caller: Caller,
        poll_id: UUID,
        conditions: LinkFilter,
        after: LinkPosition | None,
        limit: int,
        *,
        newest_first: bool = False,
    ) -> LinkPage:
        """Return a page of links. Raise `UnknownPoll` or `InsufficientScope`."""
        state = await self._authorize(caller, poll_id)
        participant_hash = self._hash_of(poll_id, conditions)
        found = await links.list_links(
            self._database, poll_id, conditions, participant_hash, after, limit + 1, newest_first=newest_first
        )
        return LinkPage([(_shown(link, state, caller), at) for link, at in found[:limit]], len(found) > limit)

    async def count_to_revoke(self, caller: Caller, poll_id: UUID, conditions: LinkFilter) -> int:
        """Return how many links `revoke_all` would end. Raise `UnknownPoll` or `InsufficientScope`."""
        await self._authorize(caller, poll_id)
        participant_hash = self._hash_of(poll_id, conditions)
        return await links.count_to_revoke(self._database, poll_id, conditions, participant_hash)

    async def load(self, caller: Caller, poll_id: UUID, link_id: UUID) -> tuple[Link, datetime]:
        """Return a link and the time at which its status holds.

        Raise `UnknownPoll`, `InsufficientScope` or `UnknownLink`.
        """
        state = await self._authorize(caller, poll_id)
        found = await links.select_link(self._database, poll_id, link_id)
        if found is None:
            raise UnknownLink
        link, at = found
        return _shown(link, state, caller), at

    async def revoke(self, caller: Caller, poll_id: UUID, link_id: UUID, actor: Actor) -> None:
        """End one link; a repetition changes nothing. Raise `UnknownPoll`, `InsufficientScope` or `UnknownLink`."""
        await self.load(caller, poll_id, link_id)
        await self._revoke(caller, poll_id, LinkFilter(), actor, link_id)

    async def revoke_all(self, caller: Caller, poll_id: UUID, conditions: LinkFilter, actor: Actor) -> int:
        """End the links that meet the conditions. Return their number. Raise `UnknownPoll` or `InsufficientScope`."""
        await self._authorize(caller, poll_id)
        return len(await self._revoke(caller, poll_id, conditions, actor))

    async def open(self, secret: str) -> VoterPass:
        """Return the pass that the link with this secret gives. Raise `LinkEnded`.

        The participant of a shared link is empty: each browser becomes one.
        """
        if not is_well_formed(secret, VOTING_LINK):
            raise LinkEnded
        opened = await links.open_link(self._database, digest(secret))
        if opened is None:
            raise LinkEnded
        if opened.encrypted is None:
            return VoterPass(opened.id, opened.poll_id, "")
        try:
            participant = encryptor_of(secret).decrypt(opened.encrypted, str(opened.id)).decode()
        except DecryptionError:
            raise LinkEnded from None
        return VoterPass(opened.id, opened.poll_id, participant)

    async def _authorize(self, caller: Caller, poll_id: UUID) -> PollState:
        return await load_authorized_poll(self._reads, caller, poll_id, Action.VOTE)

    async def _lock(self, connection: Connection, site: str, poll_id: UUID) -> tuple[PollState, AuditHead]:
        await polls.lock_polls(connection, site, [poll_id])
        locked = await polls.select_locked_poll(connection, site, poll_id)
        if locked is None:
            raise UnknownPoll
        return locked

    async def _require_room(
        self, connection: Connection, state: PollState, expires_at: datetime | None, count: int
    ) -> None:
        require_future(expires_at, state.at)
        if await links.count_active_links(connection, state.poll.id) + count > MAX_LINKS_PER_POLL:
            raise TooManyLinks(f"A poll has at most {MAX_LINKS_PER_POLL:,} active voting links.")

    async def _revoke(
        self, caller: Caller, poll_id: UUID, conditions: LinkFilter, actor: Actor, link_id: UUID | None = None
    ) -> Mapping[UUID, LinkKind]:
        async with self._semaphores.of(poll_id), self._database.transaction() as transaction:
            state, head = await self._lock(transaction, caller.site, poll_id)
            participant_hash = self._hash_of(poll_id, conditions)
            revoked = await links.revoke_links(transaction, poll_id, conditions, participant_hash, link_id)
            shared = [link_id for link_id, kind in revoked.items() if kind == "shared"]
            if shared:
                await record_revocation(transaction, caller.site, state, head, actor, shared)
        if revoked:
            self._feed.announce(poll_id)
        return revoked

    def _hash_of(self, poll_id: UUID, conditions: LinkFilter) -> bytes | None:
        if conditions.participant is None:
            return None
        return self._participants.link_hash(poll_id, conditions.participant)


def _with_name(made: PersonalSecret) -> PersonalSecret:
    """Return a personal link of a poll that keeps names."""
    invitation = made.invitation
    link = replace(made.new.link, participant=invitation.participant, name=invitation.name)
    return made._replace(new=made.new._replace(link=link))


def _shown(link: Link, state: PollState, caller: Caller) -> Link:
    """Return a link as the caller may see it: the number of its participants is a part of the results."""
    results = state.results(audience_of(caller, state.poll.place))
    return link if results.participants is not None else replace(link, participants=None)


async def _require_room_for_shared(connection: Connection, state: PollState) -> None:
    latest = await audit.select_time_from_end(connection, state.poll.id, "link.create", MAX_SHARED_LINKS_PER_DAY)
    if latest is not None and state.at - latest < timedelta(days=1):
        raise TooManyLinks(f"A poll gets at most {MAX_SHARED_LINKS_PER_DAY} shared voting links within a day.")


async def _claim(connection: Connection, key: IdempotencyKey | None) -> None:
    """Claim the key for this transaction. What is stored under it has no secret. Raise `LinksCreatedBefore`."""
    if await claim_key(connection, key) is not None:
        raise LinksCreatedBefore
    await store_response(connection, key, StoredResponse(201, {}, b""))
