"""Admin keys in requests and responses."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey, RotatedAdminKey, new_admin_key
from services.token_authority.domain.admin_key_change import AdminKeyChange
from services.token_authority.domain.administrator import Role
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.payloads.fields import Name, Scopes

Sites = Annotated[list[str], Meta(description="ids of the sites to which it is limited; null for all sites")]


class CreateAdminKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A new admin key: `admin` may do everything, `issuer` manages tokens within its limits, `auditor` only reads."""

    name: Name
    role: Role
    sites: Sites | None = None
    scopes: Scopes | None = None

    def to_admin_key(self, by: Actor, now: datetime) -> AdminKey:
        """Return the admin key. Raise `InvalidValue`."""
        return new_admin_key(self.name, self.role, self.sites, self.scopes, created_by=str(by), now=now)


class ChangeAdminKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch for an admin key (RFC 7396). It can only reduce what the key may do."""

    name: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    sites: Sites | UnsetType | None = UNSET
    scopes: Scopes | UnsetType | None = UNSET

    def to_change(self) -> AdminKeyChange:
        """Return the change, not validated yet."""
        return AdminKeyChange(name=self.name, role=self.role, sites=self.sites, scopes=self.scopes)


class AdminKeyPayload(Struct, frozen=True, kw_only=True):
    """An admin key, without its secret."""

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
        """Return the payload of an admin key."""
        return cls(**_fields(key))


class NewAdminKeyPayload(AdminKeyPayload, frozen=True, kw_only=True):
    """An admin key with its new secret, which is shown only once."""

    key: str

    @classmethod
    def of_new(cls, key: AdminKey, minted: MintedSecret) -> "NewAdminKeyPayload":
        """Return the payload of an admin key with a new secret."""
        return cls(**{**_fields(key), "hint": minted.secret.hint}, key=minted.text)


class RotatedAdminKeyPayload(NewAdminKeyPayload, frozen=True, kw_only=True):
    """An admin key with its new secret, shown only once. `old_secrets_end_at`: when the last older one ends."""

    old_secrets_end_at: datetime | None

    @classmethod
    def of_rotated(cls, rotated: RotatedAdminKey) -> "RotatedAdminKeyPayload":
        """Return the payload of a rotated admin key."""
        fields = {**_fields(rotated.key), "hint": rotated.minted.secret.hint}
        return cls(**fields, key=rotated.minted.text, old_secrets_end_at=rotated.old_secrets_end_at)


class AdminKeyPage(Struct, frozen=True):
    """Every admin key by name, including revoked ones."""

    items: list[AdminKeyPayload]


def _fields(key: AdminKey) -> dict[str, Any]:
    same = {name: getattr(key, name) for name in AdminKeyPayload.__struct_fields__}
    return {
        **same,
        "sites": None if key.sites is None else list(key.sites),
        "scopes": None if key.scopes is None else [str(scope) for scope in key.scopes],
    }
