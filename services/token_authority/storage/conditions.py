"""The conditions that tokens may have to meet, each written here once, for statements that are put together of them.

A statement has only the conditions that are given, so that the indexes behind these can be used.
"""

from datetime import datetime
from typing import Final

from services.token_authority.domain.selection import EXPIRING, Selection, StatusFilter
from services.token_authority.domain.token import searchable

MAX_PARTS: Final = 32
"""Of a text that is searched for, with which its index is asked; the text itself is looked for in what that finds."""

_SEARCH: Final = "strpos(t.folded, {}) > 0"
_PARTS: Final = "token_authority.parts(t.folded) @> {}::text[]"
_CONDITIONS: Final = {
    "ids": "t.id = ANY ({})",
    "alive": "(t.revoked_at IS NULL) = {}",
    "owner": "coalesce(t.owner, '') = {}",
    "site": "t.site_id = {}",
    "touching": "t.reach && {}::text[]",
    "created_after": "t.created_at >= {}",
    "created_before": "t.created_at < {}",
    "used_after": "coalesce(u.last_used_at, '-infinity') >= {}",
    "unused_since": "coalesce(u.last_used_at, '-infinity') < {}",
    "expires_after": "coalesce(t.expires_at, 'infinity') >= {}",
    "expires_before": "coalesce(t.expires_at, 'infinity') < {}",
    "sites": "t.site_id = ANY ({})",
    "reaching": "t.reach && {}::text[]",
    "covering": (
        "NOT EXISTS (SELECT FROM unnest(t.reach) AS mark WHERE strpos(mark, ':') > 0 AND NOT EXISTS ("
        "SELECT FROM unnest({}::text[]) AS beginning WHERE starts_with(mark, beginning)))"
    ),
}
_END: Final = "coalesce(t.expires_at, 'infinity')"
_ALIVE: Final = "t.revoked_at IS NULL"
ACTIVE: Final = f"{_ALIVE} AND {_END} > {{now}} AND t.disabled_at IS NULL"
_STATUSES: Final[dict[StatusFilter, str]] = {
    "active": ACTIVE,
    "expiring": f"{ACTIVE} AND {_END} <= {{now}} + {{soon}}::interval",
    "disabled": f"{_ALIVE} AND {_END} > {{now}} AND t.disabled_at IS NOT NULL",
    "expired": f"{_ALIVE} AND {_END} <= {{now}}",
    "revoked": "t.revoked_at IS NOT NULL",
}


class Arguments:
    """The arguments of a statement, each with its place in it."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def add(self, value: object) -> str:
        """Where the value stands in the statement."""
        self.values.append(value)
        return f"${len(self.values)}"


def conditions(selection: Selection, arguments: Arguments, now: datetime) -> list[str]:
    """What rows `t` of tokens and `u` of their use meet, but for the parts of a text that is searched for."""
    where = []
    for name, condition in _CONDITIONS.items():
        value = getattr(selection, name)
        if value is not None:
            where.append(condition.format(arguments.add(value)))
    if selection.status is not None:
        status = _STATUSES[selection.status]
        at = arguments.add(now) if "{now}" in status else ""
        soon = arguments.add(EXPIRING) if "{soon}" in status else ""
        where.append(status.format(now=f"{at}::timestamptz", soon=soon))
    if selection.search is not None:
        where.append(_SEARCH.format(arguments.add(searchable(selection.search))))
    return where


def parts(search: str, arguments: Arguments) -> str:
    """What the index on parts of texts is asked: whether a text has some of those that `search` has."""
    text = searchable(search)
    runs = [text] if len(text) < 3 else sorted({text[start : start + 3] for start in range(len(text) - 2)})
    return _PARTS.format(arguments.add(runs[:: -(-len(runs) // MAX_PARTS)]))
