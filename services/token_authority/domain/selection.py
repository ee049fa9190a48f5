"""A selection of tokens: those that meet every given condition."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from services.token_authority.domain.administrator import Rights
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.scope_index import (
    key_prefixes_within,
    keys_overlapping,
    keys_within,
    wildcard_prefixes,
)
from shared.contract.scope import ALL_ACTIONS, Scope, ScopeError
from shared.contract.token import SECRET_PATTERN

MAX_IDS: Final = 1000
EXPIRING: Final = timedelta(days=7)
"""A token that expires within this time has the status `expiring`."""

StatusFilter = Literal["active", "expiring", "disabled", "expired", "revoked", "alive"]
"""`expiring` tokens are active. `alive` ones work or could work again: neither revoked nor expired."""


class Selection(Struct, frozen=True, kw_only=True):
    """Conditions; `None` sets no condition. A range includes its start and excludes its end.

    `revocable` selects tokens that are not revoked. A token has at least one of `statuses`. `unused_since` includes
    tokens that were never used. `sites` and the `limit_…` restrict an administrator to its limits. The keys and
    prefixes are those of `domain/scope_index.py`.
    """

    ids: Sequence[str] | None = None
    revocable: bool | None = None
    search: str | None = None
    statuses: Sequence[StatusFilter] | None = None
    owner: str | None = None
    site: str | None = None
    overlapping_keys: Sequence[str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    used_after: datetime | None = None
    unused_since: datetime | None = None
    expires_after: datetime | None = None
    expires_before: datetime | None = None
    sites: Sequence[str] | None = None
    limit_prefixes: Sequence[str] | None = None
    limit_keys: Sequence[str] | None = None
    limit_wildcards: Sequence[str] | None = None

    def within(self, rights: Rights) -> "Selection":
        """Return the selection restricted to the tokens within these rights."""
        limits: dict[str, Any] = {"sites": rights.sites}
        if rights.scopes is not None:
            limits |= {
                "limit_prefixes": key_prefixes_within(rights.scopes),
                "limit_keys": keys_within(rights.scopes),
                "limit_wildcards": wildcard_prefixes(rights.scopes),
            }
        return msgspec.structs.replace(self, **limits)


def new_selection(scope: str | None = None, **conditions: Any) -> Selection:
    """Validate conditions, named like the fields of `Selection`. Raise `InvalidValue`.

    `scope` selects tokens whose scopes overlap it; a selector alone, such as `PLAT/PLAT-1`, stands for every action.
    """
    ids = conditions.get("ids")
    if ids is not None and not 1 <= len(ids) <= MAX_IDS:
        raise InvalidValue(("ids",), f"must name 1 to {MAX_IDS} tokens; select more by another condition")
    for name, text in {**conditions, "scope": scope}.items():
        if isinstance(text, str) and SECRET_PATTERN.search(text):
            raise InvalidValue((name,), "must not contain a secret; send it in the body of POST /v1/tokens/find")
    if isinstance(conditions.get("search"), str):
        conditions["search"] = conditions["search"].strip()
    for name in ("owner", "site", "search"):
        if conditions.get(name) == "":
            raise InvalidValue((name,), "must have at least one character; leave it out for no condition")
    keys = None if scope is None else keys_overlapping(_scope(scope))
    return Selection(**conditions, overlapping_keys=keys)


def _scope(text: str) -> Scope:
    if text == "ANY":
        return Scope(ALL_ACTIONS, (), is_wildcard=True)
    try:
        return Scope.parse(text if ":" in text else f"polls:*:{text}")
    except ScopeError as error:
        raise InvalidValue(("scope",), str(error)) from None
