"""Which tokens a bulk revocation takes: those that meet every condition given."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from shared.contract.scope import Scope, ScopeError

MAX_IDS: Final = 1000


class Selection(Struct, frozen=True, kw_only=True):
    """Conditions, of which `None` asks nothing. `unused_since` takes tokens that were never used too."""

    ids: Sequence[str] | None = None
    owner: str | None = None
    site: str | None = None
    scope: Scope | None = None
    issued_before: datetime | None = None
    unused_since: datetime | None = None

    def takes(self, scopes: Sequence[Scope]) -> bool:
        """Whether a token with these scopes can do something that the condition on scopes speaks of."""
        return self.scope is None or any(self.scope.overlaps(scope) for scope in scopes)


def selection(
    *,
    ids: Sequence[str] | None,
    owner: str | None,
    site: str | None,
    scope: str | None,
    issued_before: datetime | None,
    unused_since: datetime | None,
    everything: bool,
) -> Selection:
    """Check the conditions. Raises `InvalidValue`, also where there is none and `everything` is not said."""
    conditions = (ids, owner, site, scope, issued_before, unused_since)
    if everything == any(condition is not None for condition in conditions):
        raise InvalidValue((), "give conditions, or 'all': true alone to revoke every token")
    if ids is not None and not 1 <= len(ids) <= MAX_IDS:
        raise InvalidValue(("ids",), f"name 1 to {MAX_IDS} tokens; revoke more by another condition")
    for name, value in (("owner", owner), ("site", site)):
        if value == "":
            raise InvalidValue((name,), "give at least one character, or leave it out")
    return Selection(
        ids=ids,
        owner=owner,
        site=site,
        scope=None if scope is None else _scope(scope),
        issued_before=issued_before,
        unused_since=unused_since,
    )


def _scope(text: str) -> Scope:
    try:
        return Scope.parse(text)
    except ScopeError as error:
        raise InvalidValue(("scope",), str(error)) from None
