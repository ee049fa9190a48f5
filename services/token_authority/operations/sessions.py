"""Start, find and end sessions of administrators on the settings pages.

A session is a random secret in a cookie, stored as its SHA-256. It ends when it was not used for a while, after some
hours, by signing out, and when the rights of its administrator change or end.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from services.token_authority.domain.actor import Actor, ActorKind
from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.audit import AuditEntry
from services.token_authority.domain.errors import SignInLinkEnded, Unauthenticated
from services.token_authority.domain.session import (
    LINK_LIFETIME,
    MAX_LINKS,
    Session,
    new_session_id,
)
from services.token_authority.operations.credentials import Credentials
from services.token_authority.storage import sessions
from services.token_authority.storage.audit import AuditedTransaction, audited_transaction
from shared.contract.token import digest
from shared.runtime.http.address import Address
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.database import Database

SECRET_BYTES: Final = 32


class Origin(NamedTuple):
    """Where a request to sign in came from."""

    address: Address | None
    request_id: str

    def actor(self, kind: ActorKind, actor_id: str) -> Actor:
        """Return the actor that signed in."""
        return Actor(kind, actor_id, None if self.address is None else str(self.address), self.request_id)


class SignInLink(NamedTuple):
    """The code of a new sign-in link, which is not stored, and when it expires."""

    code: str
    expires_at: datetime


class Sessions:
    """Starts, finds and ends sessions. Create one instance per process.

    `rights_by_group` has the current rights of each group of people at the identity provider `issuer`, from the
    settings. Without a provider, there are no sessions of people.
    """

    def __init__(
        self,
        database: Database,
        credentials: Credentials,
        limits: SessionLimits,
        rights_by_group: Mapping[str, Rights],
        issuer: str,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._limits = limits
        self._rights_by_group = rights_by_group
        self._issuer = issuer

    async def start_by_admin_key(self, presented: str, origin: Origin) -> str:
        """Start a session of an admin key. Return its secret. Raise `Unauthenticated` or `TooManyAttempts`."""
        await self._credentials.authenticate_admin_key(presented, origin.address)
        secret, session_id, now = _new_secret(), new_session_id(), datetime.now(UTC)
        async with audited_transaction(self._database) as transaction:
            key_id = await sessions.insert_session_by_secret(
                transaction, digest(secret), session_id, digest(presented), now
            )
            if key_id is None:  # it ended since it was authenticated
                raise Unauthenticated("Unknown admin key.", "Bearer")
            await _record_start(transaction, session_id, origin.actor("admin_key", key_id), "admin_key")
        return secret

    async def create_link(self, presented: str) -> SignInLink:
        """Return the code of a link that starts one session of the admin key with this secret."""
        link = SignInLink(_new_secret(), datetime.now(UTC) + LINK_LIFETIME)
        await sessions.insert_sign_in_link(
            self._database, digest(link.code), digest(presented), link.expires_at, kept=MAX_LINKS - 1
        )
        return link

    async def start_by_link(self, code: str, origin: Origin) -> str:
        """Start a session by the code of a link, which this uses up. Return its secret. Raise `SignInLinkEnded`."""
        secret, session_id, now = _new_secret(), new_session_id(), datetime.now(UTC)
        async with audited_transaction(self._database) as transaction:
            key_id = await sessions.insert_session_by_link(transaction, digest(secret), session_id, digest(code), now)
            if key_id is None:
                raise SignInLinkEnded
            await _record_start(transaction, session_id, origin.actor("admin_key", key_id), "link")
        return secret

    async def start_of_person(self, person_id: str, name: str, group: str, origin: Origin) -> str:
        """Start a session of a person with the rights of a group. Return its secret."""
        secret, now = _new_secret(), datetime.now(UTC)
        session = Session(
            id=new_session_id(),
            actor_kind="person",
            actor_id=person_id,
            name=name,
            group=group,
            issuer=self._issuer,
            rights=self._rights_by_group[group],
            created_at=now,
            last_seen_at=now,
        )
        async with audited_transaction(self._database) as transaction:
            await sessions.insert_session_of_person(transaction, digest(secret), session)
            actor = origin.actor("person", person_id)
            await _record_start(transaction, session.id, actor, "identity_provider", name=name, group=group)
        return secret

    async def find(self, secret: str) -> Session | None:
        """Return the session with this secret, and store that it is in use. Return `None` if it is over."""
        now = datetime.now(UTC)
        session = await sessions.select_session(self._database, digest(secret), self._limits, now)
        if session is None or not self._has_current_rights(session):
            return None
        if now - session.last_seen_at > self._limits.seen_interval:
            await sessions.note_use_of_session(self._database, session.id, now)
        return session

    async def end(self, session: Session, by: Actor) -> None:
        """End a session. A repetition changes nothing."""
        async with audited_transaction(self._database) as transaction:
            if not await sessions.delete_session(transaction, session.id):
                transaction.declare_unchanged()
                return
            await transaction.record(AuditEntry(by, "session.end", f"session:{session.id}"))

    def _has_current_rights(self, session: Session) -> bool:
        if session.group is None:
            return True
        return session.issuer == self._issuer and self._rights_by_group.get(session.group) == session.rights


def _new_secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


async def _record_start(transaction: AuditedTransaction, session_id: str, by: Actor, how: str, **person: str) -> None:
    await transaction.record(AuditEntry(by, "session.start", f"session:{session_id}", after={"by": how, **person}))
