"""Voting links as Python values."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

LinkKind = Literal["personal", "shared"]
LinkStatus = Literal["active", "expired", "revoked"]


class Invitation(Struct, frozen=True, omit_defaults=True):
    """A participant who gets a personal link, and the name to show, which is stored only where the poll keeps names."""

    participant: str
    name: str | None = None


class Link(Struct, frozen=True, kw_only=True, rename="camel"):
    """A voting link without its address; `hint` is how its secret begins and ends.

    `participant` and `name` of a personal link are `None` where the poll does not keep names. `participants` counts
    those who have voted by a shared link, and is `None` for a personal one. `created_by` is the id of a token.
    """

    id: str
    kind: str
    status: str
    hint: str
    participant: str | None
    name: str | None
    label: str | None
    max_participants: int | None
    max_per_address: int | None
    participants: int | None
    expires_at: datetime | None
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class NewLink(Link, frozen=True, kw_only=True, rename="camel"):
    """A new voting link with its address (`url`), which is not shown again.

    The address contains a secret, so it is left out where the link is printed or logged as a whole.
    """

    url: str

    def __repr__(self) -> str:
        return f"NewLink({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, "…" if name == "url" else getattr(self, name)) for name in self.__struct_fields__]


class RevokedLinks(Struct, frozen=True):
    """How many links were active and are revoked now."""

    revoked: int
