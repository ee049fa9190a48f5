"""Who does something to the authority, and from where."""

from typing import Final, Literal

from msgspec import Struct

ActorKind = Literal["admin_key", "service", "holder", "policy", "system"]


class Actor(Struct, frozen=True):
    """`id` names which admin key, service or token it is; `address` and `request_id` say whence the request came."""

    kind: ActorKind
    id: str | None = None
    address: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else self.kind


SYSTEM: Final = Actor("system")
POLICY: Final = Actor("policy")
