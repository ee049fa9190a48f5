"""Sessions of administrators on the settings pages."""

from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.administrator import Administrator, Rights
from shared.contract.token import random_base62

LINK_LIFETIME: Final = timedelta(minutes=10)
"""How long a sign-in link can be used."""
MAX_LINKS: Final = 5
"""Links of one admin key that work at the same time. A new one replaces the oldest."""

ActorKind = Literal["admin_key", "person"]


class Session(Struct, frozen=True, kw_only=True):
    """A session with the rights that its administrator had at the start.

    `actor_id` is the id of an admin key or of a person. `group` is the group by which a person has the rights, at the
    identity provider `issuer`; both are `None` for an admin key.
    """

    id: str
    actor_kind: ActorKind
    actor_id: str
    name: str
    group: str | None = None
    issuer: str | None = None
    rights: Rights
    created_at: datetime
    last_seen_at: datetime

    def administrator(self, address: str | None, request_id: str | None) -> Administrator:
        """Return the administrator for a request of this session."""
        return Administrator(self.rights, Actor(self.actor_kind, self.actor_id, address, request_id))


def new_session_id() -> str:
    """Return a random id, which is not secret."""
    return f"ses_{random_base62(16)}"
