"""Which tokens are meant: those that meet every condition given."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.reach import covering, reaching, touching
from shared.contract.scope import ALL_ACTIONS, Scope, ScopeError

MAX_IDS: Final = 1000
EXPIRING: Final = timedelta(days=7)
"""A token that ends within this time is expiring."""

StatusFilter = Literal["active", "expiring", "disabled", "expired", "revoked"]


class Selection(Struct, frozen=True, kw_only=True):
    """Conditions, of which `None` asks nothing. Ranges have their beginning and not their end.

    `alive` takes those not revoked, `unused_since` those that were never used too. `touching`, `covering` and
    `reaching` are of `domain/reach.py`. `sites`, `covering` and `reaching` keep an administrator within its limits.
    """

    ids: Sequence[str] | None = None
    alive: bool | None = None
    search: str | None = None
    status: StatusFilter | None = None
    owner: str | None = None
    site: str | None = None
    touching: Sequence[str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    used_after: datetime | None = None
    unused_since: datetime | None = None
    expires_after: datetime | None = None
    expires_before: datetime | None = None
    sites: Sequence[str] | None = None
    covering: Sequence[str] | None = None
    reaching: Sequence[str] | None = None

    def within(self, caller: AdminKey) -> "Selection":
        """Of these the tokens that `caller` sees."""
        limits: dict[str, Any] = {"sites": caller.sites}
        if caller.scopes is not None:
            limits |= {"covering": covering(caller.scopes), "reaching": reaching(caller.scopes)}
        return msgspec.structs.replace(self, **limits)


def selection(scope: str | None = None, **conditions: Any) -> Selection:
    """Check conditions, named as `Selection` has them. Raises `InvalidValue`.

    `scope` takes tokens that can do something it speaks of; a selector alone, `PLAT/PLAT-1`, speaks of every action.
    """
    ids = conditions.get("ids")
    if ids is not None and not 1 <= len(ids) <= MAX_IDS:
        raise InvalidValue(("ids",), f"name 1 to {MAX_IDS} tokens; take more by another condition")
    for name in ("owner", "site", "search"):
        if conditions.get(name) == "":
            raise InvalidValue((name,), "give at least one character, or leave it out")
    marks = None if scope is None else touching(_scope(scope))
    return Selection(**conditions, touching=marks)


def _scope(text: str) -> Scope:
    if text == "ANY":
        return Scope(ALL_ACTIONS, ())
    try:
        return Scope.parse(text if ":" in text else f"polls:*:{text}")
    except ScopeError as error:
        raise InvalidValue(("scope",), str(error)) from None
