"""Admin keys: as they are asked for and shown."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey, Role, new_admin_key
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.payloads.texts import Name, Scopes

Sites = Annotated[list[str], Meta(description="ids of the sites that it is limited to; null for all")]


class MakeAdminKey(Struct, frozen=True, forbid_unknown_fields=True):
    """An admin key to be made: `admin` may do everything, `issuer` manages tokens up to its sites and scopes, `auditor`
    only looks.
    """

    name: Name
    role: Role
    sites: Sites | None = None
    scopes: Scopes | None = None

    def to_admin_key(self, by: Actor, now: datetime) -> AdminKey:
        """What the domain makes of it."""
        return new_admin_key(self.name, self.role, self.sites, self.scopes, created_by=str(by), now=now)


class AdminKeyPayload(Struct, frozen=True, kw_only=True):
    """An admin key as it is shown at any time."""

    id: str
    name: str
    role: Role
    sites: list[str] | None
    scopes: list[str] | None
    hint: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None

    @classmethod
    def of(cls, key: AdminKey) -> "AdminKeyPayload":
        """How `key` is shown."""
        return cls(**_shown(key))


class MadeAdminKeyPayload(AdminKeyPayload, frozen=True, kw_only=True):
    """An admin key with its secret, shown this once."""

    key: str

    @classmethod
    def of_made(cls, key: AdminKey, minted: MintedSecret) -> "MadeAdminKeyPayload":
        """How a key is shown that has a new secret."""
        return cls(**{**_shown(key), "hint": minted.secret.hint}, key=minted.text)


class AdminKeyPage(Struct, frozen=True):
    """Every admin key by name, revoked ones too."""

    items: list[AdminKeyPayload]


def _shown(key: AdminKey) -> dict[str, Any]:
    same = {name: getattr(key, name) for name in AdminKeyPayload.__struct_fields__}
    return {
        **same,
        "sites": None if key.sites is None else list(key.sites),
        "scopes": None if key.scopes is None else [str(scope) for scope in key.scopes],
    }
