"""Admin keys: who manages the authority, in which role, and up to which sites and scopes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from services.token_authority.domain.errors import Forbidden, InvalidValue
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_fields import checked_scopes, checked_text
from shared.contract.scope import Scope, find_excess_scope, format_scopes
from shared.contract.token import random_base62

Role = Literal["admin", "issuer", "auditor"]


class AdminKey(Struct, frozen=True, kw_only=True):
    """`admin` may do everything; `issuer` makes and manages tokens up to its sites and scopes; `auditor` only looks.

    `sites` and `scopes` that are `None` set no limit.
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
        """Whether it has no limits."""
        return self.sites is None and self.scopes is None

    def sees(self, token: Token) -> bool:
        """Whether the token is within its sites and scopes."""
        return (self.sites is None or token.site_id in self.sites) and (
            self.scopes is None or find_excess_scope(token.scopes, self.scopes) is None
        )

    def require_within(self, token: Token) -> None:
        """Raises `Forbidden` for a token that this key may not make."""
        if self.sites is not None and token.site_id not in self.sites:
            raise Forbidden(f"This admin key makes tokens for the sites {', '.join(self.sites)} only.")
        over = None if self.scopes is None else find_excess_scope(token.scopes, self.scopes)
        if over is not None and self.scopes is not None:
            raise Forbidden(f"'{over}' is more than this admin key has itself: {format_scopes(self.scopes)}.")


def new_admin_key(
    name: str,
    role: Role,
    sites: Sequence[str] | None,
    scopes: Sequence[str] | None,
    *,
    created_by: str,
    now: datetime,
) -> AdminKey:
    """Check and make one. Raises `InvalidValue`."""
    if role == "issuer" and sites is None and scopes is None:
        raise InvalidValue(("scopes",), "an issuer is limited: give the scopes or the sites it may issue tokens for")
    if role == "admin" and not (sites is None and scopes is None):
        raise InvalidValue(("role",), "an admin has no limits; for one with sites or scopes choose issuer or auditor")
    if sites is not None and not sites:
        raise InvalidValue(("sites",), "name at least one site, or leave this out for all")
    return AdminKey(
        id=f"adm_{random_base62(16)}",
        name=checked_text("name", name),
        role=role,
        sites=None if sites is None else tuple(dict.fromkeys(sites)),
        scopes=None if scopes is None else checked_scopes(scopes),
        created_at=now,
        created_by=created_by,
    )
