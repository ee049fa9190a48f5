"""Admin keys: credentials of administrators, each with a role and optional limits on sites and scopes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.token_authority.domain.administrator import Rights, Role, new_rights
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.domain.token_fields import validate_text
from shared.contract.token import random_base62


class AdminKey(Rights, frozen=True, kw_only=True):
    """An admin key: a credential with the rights of its role and its limits."""

    id: str
    name: str
    hint: str = ""
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None


class NewAdminKey(NamedTuple):
    """An admin key with a new secret."""

    key: AdminKey
    minted: MintedSecret


class RotatedAdminKey(NamedTuple):
    """An admin key with a new secret, and when the last of the older ones ends."""

    key: AdminKey
    minted: MintedSecret
    old_secrets_end_at: datetime | None


def new_admin_key(
    name: str,
    role: Role,
    sites: Sequence[str] | None,
    scopes: Sequence[str] | None,
    *,
    created_by: str,
    now: datetime,
) -> AdminKey:
    """Validate the fields and return an admin key. Raise `InvalidValue`."""
    rights = new_rights(role, sites, scopes)
    return AdminKey(
        id=f"adm_{random_base62(16)}",
        name=validate_text("name", name),
        role=rights.role,
        sites=rights.sites,
        scopes=rights.scopes,
        created_at=now,
        created_by=created_by,
    )
