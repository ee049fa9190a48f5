"""The actor of an audited change: who made it, and where the request came from."""

from typing import Final, Literal

from msgspec import Struct

ActorKind = Literal["admin_key", "person", "service", "holder", "policy", "operator", "system"]


class Actor(Struct, frozen=True):
    """Who made a change, and from where.

    `id` is that of the admin key, service or token, the `sub` of the person at the identity provider, or the name
    of the operator who used the database. `address` and `request_id` say where the request came from.
    """

    kind: ActorKind
    id: str | None = None
    address: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else self.kind


SYSTEM: Final = Actor("system")
POLICY: Final = Actor("policy")
