"""Admin keys: credentials of administrators, each with a role and optional limits on sites and scopes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.errors import Forbidden, InvalidValue
from services.token_authority.domain.secret import MintedSecret
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_fields import validate_scopes, validate_text
from shared.contract.scope import Scope, find_excess_scope, format_scopes
from shared.contract.token import random_base62

Role = Literal["admin", "issuer", "auditor"]


class AdminKey(Struct, frozen=True, kw_only=True):
    """An admin key: `admin` may do everything, `issuer` manages tokens within its limits, `auditor` only reads.

    `None` for `sites` or `scopes` sets no limit.
    """

    id: str
    name: str
    role: Role
    sites: tuple[str, ...] | None = None
    scopes: tuple[Scope, ...] | None = None
    hint: str = ""
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    @property
    def sees_all(self) -> bool:
        """Whether it has no limits on sites and scopes."""
        return self.sites is None and self.scopes is None

    def sees(self, token: Token) -> bool:
        """Return whether the token is within its sites and scopes."""
        return (self.sites is None or token.site_id in self.sites) and (
            self.scopes is None or find_excess_scope(token.scopes, self.scopes) is None
        )

    def require_within(self, token: Token) -> None:
        """Raise `Forbidden` for a token that this key may not issue."""
        if self.sites is not None and token.site_id not in self.sites:
            raise Forbidden(f"This admin key may issue tokens only for the sites {', '.join(self.sites)}.")
        over = None if self.scopes is None else find_excess_scope(token.scopes, self.scopes)
        if over is not None and self.scopes is not None:
            raise Forbidden(f"The scope '{over}' is beyond those of this admin key: {format_scopes(self.scopes)}.")


class NewAdminKey(NamedTuple):
    """An admin key with a new secret."""

    key: AdminKey
    minted: MintedSecret


class RotatedAdminKey(NamedTuple):
    """An admin key with a new secret, and when the last of the older ones ends."""

    key: AdminKey
    minted: MintedSecret
    old_secrets_end_at: datetime | None


class Administrator(Struct, frozen=True):
    """The admin key that authenticated a request, and the actor that the audit log records for it."""

    key: AdminKey
    actor: Actor


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
