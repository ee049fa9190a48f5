"""Create, list, revoke and open voting links.

A link is created and revoked while the poll is locked. So a vote by a link is either stored before its revocation, or
finds the link revoked: see `polls.admits` in the migrations.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from services.polls.domain.audit import Actor, AuditHead, audit_record
from services.polls.domain.errors import LinkEnded, LinksCreatedBefore, TooManyLinks, UnknownLink, UnknownPoll
from services.polls.domain.idempotency import IdempotencyKey, StoredResponse
from services.polls.domain.link import (
    MAX_LINKS_PER_POLL,
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
from services.polls.operations.authorization import load_authorized_poll
from services.polls.operations.idempotency import claim_key, store_response
from services.polls.operations.poll_semaphores import PollSemaphores
from services.polls.storage import audit, links, polls
from services.polls.storage.links import NewLink
from services.polls.storage.poll_reads import PollReads
from services.polls.tasks.poll_feed import PollFeed
from shared.contract.scope import Action
from shared.contract.token import VOTING_LINK, digest, hint, is_well_formed, mint
from shared.guard import Caller
from shared.runtime.crypto.encryption import DecryptionError, Encryptor
from shared.runtime.postgres.database import Connection, Database

MAX_SHARED_LINKS_IN_RECORD: Final = 100
_PURPOSE: Final = "voting link"


class CreatedLink(NamedTuple):
    """A new link with its secret, which is not stored. `participant` is the one of a personal link."""

    link: Link
    secret: str
    participant: Invitation | None = None


class LinkPage(Struct, frozen=True):
    """Links of a poll, in the order of their creation, each with the time at which its status holds."""

    items: Sequence[tuple[Link, datetime]]
    has_more: bool


class _Locked(NamedTuple):
    state: PollState
    head: AuditHead


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

        Raise `UnknownPoll`, `InsufficientScope`, `InvalidLink`, `TooManyLinks` or `TooManyEdits`, and with a key
        `LinksCreatedBefore` if this was done before, or what `claim_key` raises.
        """
        await self._authorize(caller, poll_id)
        async with self._semaphores.of(poll_id), self._database.transaction() as transaction:
            await _claim(transaction, key)
            locked = await self._lock(transaction, caller.site, poll_id)
            await self._require_room(transaction, locked, expires_at, 1)
            locked.head.require_room(locked.state.at)
            secret = mint(VOTING_LINK)
            link = _new_link("shared", secret, locked.state.at, caller.token_id, expires_at, sharing)
            await links.insert_links(transaction, poll_id, [NewLink(link, digest(secret))])
            await _record(transaction, caller.site, locked, actor, created=link)
        return CreatedLink(link, secret)

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
        await self._authorize(caller, poll_id)
        async with self._semaphores.of(poll_id), self._database.transaction() as transaction:
            await _claim(transaction, key)
            locked = await self._lock(transaction, caller.site, poll_id)
            await self._require_room(transaction, locked, expires_at, len(invitations))
            state = locked.state
            created = [self._personal_link(state, caller.token_id, expires_at, each) for each in invitations]
            await links.insert_links(transaction, poll_id, [self._to_store(poll_id, each) for each in created])
        return created

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
        await self._authorize(caller, poll_id)
        participant_hash = self._hash_of(poll_id, conditions)
        found = await links.list_links(
            self._database, poll_id, conditions, participant_hash, after, limit + 1, newest_first=newest_first
        )
        return LinkPage(found[:limit], len(found) > limit)

    async def count_to_revoke(self, caller: Caller, poll_id: UUID, conditions: LinkFilter) -> int:
        """Return how many links `revoke_all` would end. Raise `UnknownPoll` or `InsufficientScope`."""
        await self._authorize(caller, poll_id)
        return await links.count_to_revoke(self._database, poll_id, conditions)

    async def load(self, caller: Caller, poll_id: UUID, link_id: UUID) -> tuple[Link, datetime]:
        """Return a link and the time at which its status holds.

        Raise `UnknownPoll`, `InsufficientScope` or `UnknownLink`.
        """
        await self._authorize(caller, poll_id)
        found = await links.select_link(self._database, poll_id, link_id)
        if found is None:
            raise UnknownLink
        return found

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
            participant = _encryptor(secret).decrypt(opened.encrypted, str(opened.id)).decode()
        except DecryptionError:
            raise LinkEnded from None
        return VoterPass(opened.id, opened.poll_id, participant)

    async def _authorize(self, caller: Caller, poll_id: UUID) -> None:
        await load_authorized_poll(self._reads, caller, poll_id, Action.VOTE)

    async def _lock(self, connection: Connection, site: str, poll_id: UUID) -> _Locked:
        await polls.lock_polls(connection, site, [poll_id])
        locked = await polls.select_locked_poll(connection, site, poll_id)
        if locked is None:
            raise UnknownPoll
        return _Locked(*locked)

    async def _require_room(
        self, connection: Connection, locked: _Locked, expires_at: datetime | None, count: int
    ) -> None:
        require_future(expires_at, locked.state.at)
        if await links.count_links(connection, locked.state.poll.id) + count > MAX_LINKS_PER_POLL:
            raise TooManyLinks

    async def _revoke(
        self, caller: Caller, poll_id: UUID, conditions: LinkFilter, actor: Actor, link_id: UUID | None = None
    ) -> Mapping[UUID, LinkKind]:
        async with self._semaphores.of(poll_id), self._database.transaction() as transaction:
            locked = await self._lock(transaction, caller.site, poll_id)
            participant_hash = self._hash_of(poll_id, conditions)
            revoked = await links.revoke_links(transaction, poll_id, conditions, participant_hash, link_id)
            shared = [link_id for link_id, kind in revoked.items() if kind == "shared"]
            if shared:
                await _record(transaction, caller.site, locked, actor, revoked=shared)
        if revoked:
            self._feed.announce(poll_id)
        return revoked

    def _hash_of(self, poll_id: UUID, conditions: LinkFilter) -> bytes | None:
        if conditions.participant is None:
            return None
        return self._participants.link_hash(poll_id, conditions.participant)

    def _personal_link(
        self, state: PollState, created_by: str, expires_at: datetime | None, invitation: Invitation
    ) -> CreatedLink:
        secret = mint(VOTING_LINK)
        link = _new_link("personal", secret, state.at, created_by, expires_at)
        if state.poll.spec.settings.save_participant_names:
            link = msgspec.structs.replace(link, participant=invitation.participant, name=invitation.name)
        return CreatedLink(link, secret, invitation)

    def _to_store(self, poll_id: UUID, created: CreatedLink) -> NewLink:
        link, secret, invitation = created
        if invitation is None:
            return NewLink(link, digest(secret))
        encrypted = _encryptor(secret).encrypt(invitation.participant.encode(), str(link.id))
        participant_hash = self._participants.link_hash(poll_id, invitation.participant)
        return NewLink(link, digest(secret), participant_hash, encrypted)


def _new_link(
    kind: LinkKind,
    secret: str,
    now: datetime,
    created_by: str,
    expires_at: datetime | None,
    sharing: Sharing | None = None,
) -> Link:
    link = Link(id=uuid4(), kind=kind, hint=hint(secret), created_at=now, created_by=created_by, expires_at=expires_at)
    if sharing is None:
        return link
    return msgspec.structs.replace(
        link,
        label=sharing.label,
        max_participants=sharing.max_participants,
        max_per_address=sharing.max_per_address,
    )


def _encryptor(secret: str) -> Encryptor:
    """Return the encryptor of a link's participant: only who has the link can read it."""
    return Encryptor([secret.encode()], _PURPOSE)


async def _claim(connection: Connection, key: IdempotencyKey | None) -> None:
    """Claim the key for this transaction. What is stored under it has no secret. Raise `LinksCreatedBefore`."""
    if await claim_key(connection, key) is not None:
        raise LinksCreatedBefore
    await store_response(connection, key, StoredResponse(201, {}, b""))


async def _record(
    connection: Connection,
    site: str,
    locked: _Locked,
    actor: Actor,
    *,
    created: Link | None = None,
    revoked: Sequence[UUID] = (),
) -> None:
    """Append the record of a created link, or of revoked ones."""
    state = locked.state
    if created is not None:
        limits = {
            "label": created.label,
            "expiresAt": None if created.expires_at is None else created.expires_at.isoformat(),
            "maxParticipants": created.max_participants,
            "maxPerAddress": created.max_per_address,
        }
        after = {"links": {str(created.id): limits}}
        record = audit_record("link.create", state, locked.head, actor, before={}, after=after)
    else:
        shown = {str(link_id): "active" for link_id in revoked[:MAX_SHARED_LINKS_IN_RECORD]}
        before, after_revocation = {"links": shown}, {"links": dict.fromkeys(shown, "revoked"), "count": len(revoked)}
        record = audit_record("link.revoke", state, locked.head, actor, before=before, after=after_revocation)
    await audit.append_audit(connection, site, state.poll, record)
