"""Changes to an admin key: its name may change freely, its role and its limits only be reduced."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.administrator import Role, require_limits_of_role, validate_sites
from services.token_authority.domain.errors import Widening
from services.token_authority.domain.token_fields import validate_scopes, validate_text
from shared.contract.scope import Scope, find_excess_scope

_NARROWER: Final[dict[Role, tuple[Role, ...]]] = {"admin": ("issuer", "auditor"), "issuer": ("auditor",), "auditor": ()}
"""The roles that allow less than a role, if the limits stay the same or become narrower."""

_UNLIMITED: Final = "must stay limited; create a new admin key instead"


class AdminKeyChange(Struct, frozen=True, kw_only=True):
    """New values for some fields, not validated yet. A field that is `UNSET` keeps its value."""

    name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    sites: Sequence[str] | UnsetType | None = UNSET
    scopes: Sequence[str] | UnsetType | None = UNSET


def apply_change(key: AdminKey, requested: AdminKeyChange) -> AdminKey:
    """Return the admin key after the change. Raise `InvalidValue` or `Widening`."""
    changed = msgspec.structs.replace(key, **_validate(requested))
    _require_no_widening(key, changed)
    require_limits_of_role(changed.role, changed.sites, changed.scopes)
    return changed


def _validate(requested: AdminKeyChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if requested.name is not UNSET:
        values["name"] = validate_text("name", requested.name)
    if requested.role is not UNSET:
        values["role"] = requested.role
    if requested.sites is not UNSET:
        values["sites"] = validate_sites(requested.sites)
    if requested.scopes is not UNSET:
        values["scopes"] = None if requested.scopes is None else validate_scopes(requested.scopes)
    return values


def _require_no_widening(key: AdminKey, changed: AdminKey) -> None:
    if changed.role != key.role and changed.role not in _NARROWER[key.role]:
        reason = f"the role {changed.role} allows more than {key.role}; create a new admin key instead"
        raise Widening(("role",), reason)
    _require_sites_within(changed.sites, key.sites)
    _require_scopes_within(changed.scopes, key.scopes)


def _require_sites_within(sites: tuple[str, ...] | None, limits: tuple[str, ...] | None) -> None:
    if limits is None:
        return
    if sites is None:
        raise Widening(("sites",), _UNLIMITED)
    for index, site in enumerate(sites):
        if site not in limits:
            raise Widening(("sites", index), "is beyond the sites of the admin key; create a new one instead")


def _require_scopes_within(scopes: tuple[Scope, ...] | None, limits: tuple[Scope, ...] | None) -> None:
    if limits is None:
        return
    if scopes is None:
        raise Widening(("scopes",), _UNLIMITED)
    over = find_excess_scope(scopes, limits)
    if over is not None:
        raise Widening(("scopes",), f"'{over}' is beyond the scopes of the admin key; create a new one instead")
