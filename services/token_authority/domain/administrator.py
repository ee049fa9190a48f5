"""Administrators: what each may do, and the actor that the audit log records for them."""

from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.errors import Forbidden, InvalidValue
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_fields import validate_scopes
from shared.contract.scope import Scope, find_excess_scope, format_scopes

Role = Literal["admin", "issuer", "auditor"]


class Rights(Struct, frozen=True, kw_only=True):
    """A role with limits: `admin` may do everything, `issuer` manages tokens within its limits, `auditor` only reads.

    `None` for `sites` or `scopes` sets no limit.
    """

    role: Role
    sites: tuple[str, ...] | None = None
    scopes: tuple[Scope, ...] | None = None

    @property
    def sees_all(self) -> bool:
        """Whether there are no limits on sites and scopes."""
        return self.sites is None and self.scopes is None

    @property
    def may_issue(self) -> bool:
        """Whether tokens within the limits may be issued and changed."""
        return self.role in ("admin", "issuer")

    @property
    def may_audit(self) -> bool:
        """Whether everything may be read: the audit log, services and administrators."""
        return self.role in ("admin", "auditor") and self.sees_all

    @property
    def may_administer(self) -> bool:
        """Whether services and admin keys may be changed."""
        return self.role == "admin"

    def sees(self, token: Token) -> bool:
        """Return whether the token is within the sites and scopes."""
        return (self.sites is None or token.site_id in self.sites) and (
            self.scopes is None or find_excess_scope(token.scopes, self.scopes) is None
        )

    def require_within(self, token: Token) -> None:
        """Raise `Forbidden` for a token that may not be issued with these rights."""
        if self.sites is not None and token.site_id not in self.sites:
            raise Forbidden(f"You may issue tokens only for the sites {', '.join(self.sites)}.")
        over = None if self.scopes is None else find_excess_scope(token.scopes, self.scopes)
        if over is not None and self.scopes is not None:
            raise Forbidden(f"The scope '{over}' is beyond your limits: {format_scopes(self.scopes)}.")


def new_rights(role: Role, sites: Sequence[str] | None, scopes: Sequence[str] | None) -> Rights:
    """Validate the limits of a role and return the rights. Raise `InvalidValue`."""
    require_limits_of_role(role, sites, scopes)
    return Rights(role=role, sites=validate_sites(sites), scopes=None if scopes is None else validate_scopes(scopes))


def require_limits_of_role(role: Role, sites: Collection[str] | None, scopes: Collection[str | Scope] | None) -> None:
    """Raise `InvalidValue` if these cannot be the limits of the role."""
    if role == "issuer" and sites is None and scopes is None:
        raise InvalidValue(("scopes",), "an issuer needs limits: give the scopes or the sites it may issue tokens for")
    if role == "admin" and not (sites is None and scopes is None):
        raise InvalidValue(("role",), "an admin has no limits; for limits on sites or scopes choose issuer or auditor")


def validate_sites(sites: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return each site once; `None` for all sites. Raise `InvalidValue`."""
    if sites is not None and not sites:
        raise InvalidValue(("sites",), "must name at least one site; leave this out for all sites")
    return None if sites is None else tuple(dict.fromkeys(sites))


class Administrator(Struct, frozen=True):
    """The rights of the caller of a request, and the actor that the audit log records for it."""

    rights: Rights
    actor: Actor
