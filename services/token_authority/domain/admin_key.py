"""Admin keys: credentials of administrators, each with a role and optional limits on sites and scopes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.token_authority.domain.administrator import Rights, Role
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.domain.token_fields import validate_scopes, validate_text
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
    if role == "issuer" and sites is None and scopes is None:
        raise InvalidValue(("scopes",), "an issuer needs limits: give the scopes or the sites it may issue tokens for")
    if role == "admin" and not (sites is None and scopes is None):
        raise InvalidValue(("role",), "an admin has no limits; for limits on sites or scopes choose issuer or auditor")
    if sites is not None and not sites:
        raise InvalidValue(("sites",), "must name at least one site; leave this out for all sites")
    return AdminKey(
        id=f"adm_{random_base62(16)}",
        name=validate_text("name", name),
        role=role,
        sites=None if sites is None else tuple(dict.fromkeys(sites)),
        scopes=None if scopes is None else validate_scopes(scopes),
        created_at=now,
        created_by=created_by,
    )
