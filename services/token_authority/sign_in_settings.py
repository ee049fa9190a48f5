"""Check the settings of the identity provider, and read the roles of its groups."""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.token_authority.domain.administrator import Role, new_rights
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.person import GroupRights
from shared.runtime.http.secure_url import is_secure_url
from shared.runtime.process.environment import SettingsError

_EXAMPLE: Final = '{"pollgate-admins": "admin", "plat-team": {"role": "issuer", "scopes": ["polls:*:PLAT"]}}'


class _GroupRole(Struct, forbid_unknown_fields=True):
    """The role of a group, with its limits."""

    role: Role
    sites: list[str] | None = None
    scopes: list[str] | None = None


def require_provider(issuer: str, client_id: str, scopes: str, groups: str) -> None:
    """Raise `SettingsError` if the settings of the identity provider are incomplete or wrong."""
    if groups:
        read_group_rights(groups)
    if not issuer:
        return
    if not is_secure_url(issuer) or "?" in issuer:
        raise SettingsError(
            "OIDC_ISSUER is wrong: give the https URL of the identity provider, without query and fragment, as it is "
            "in the `issuer` of its metadata; http is allowed for loopback hosts only"
        )
    if not client_id:
        raise SettingsError("OIDC_CLIENT_ID is not set; with OIDC_ISSUER, set it to the client id at the provider")
    if not groups:
        raise SettingsError(f"OIDC_GROUPS is not set; with OIDC_ISSUER, give groups a role, such as {_EXAMPLE}")
    if "openid" not in scopes.split():
        raise SettingsError("OIDC_SCOPES is wrong: it has to contain openid, such as 'openid profile email groups'")


def read_group_rights(text: str) -> tuple[GroupRights, ...]:
    """Return the groups in the setting `OIDC_GROUPS` in their order. Raise `SettingsError`."""
    try:
        members = json.loads(text, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, _Members) or not members:
        raise SettingsError(f"OIDC_GROUPS is wrong: give a JSON object from groups to roles, such as {_EXAMPLE}")
    names = [name for name, _ in members]
    repeated = next((name for name in names if not name or names.count(name) > 1), None)
    if repeated is not None:
        raise SettingsError(f"OIDC_GROUPS is wrong: the name '{repeated}' is empty or occurs twice")
    return tuple(_read_group(name, value) for name, value in members)


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object in their order, with repeated names."""


def _read_group(name: str, value: object) -> GroupRights:
    try:
        role = msgspec.convert({"role": value} if isinstance(value, str) else _to_dict(value), _GroupRole)
        return GroupRights(name, new_rights(role.role, role.sites, role.scopes))
    except msgspec.ValidationError:
        expected = (
            'a role: "admin", "issuer" or "auditor", or an object with "role" and, as limits, the lists "sites" and '
            '"scopes"'
        )
        raise SettingsError(f"OIDC_GROUPS is wrong: the group '{name}' needs {expected}") from None
    except InvalidValue as error:
        field = _describe(error.path)
        raise SettingsError(f"OIDC_GROUPS is wrong: {field} of the group '{name}': {error.reason}") from None


def _to_dict(value: object) -> object:
    return dict(value) if isinstance(value, _Members) else value


def _describe(path: Sequence[str | int]) -> str:
    return path[0] if len(path) == 1 else f"{path[0]}[{path[1]}]"  # type: ignore[return-value]
