"""The SQL conditions on tokens, each written once, from which statements are composed.

A statement has only the conditions that are given, so that the planner can use their indexes.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.token_authority.domain.selection import EXPIRING, Selection, StatusFilter
from services.token_authority.domain.token import fold

MAX_PARTS: Final = 32
"""Parts of a search text that are looked up in the index. The whole text is compared with the rows that it finds."""

_SEARCH: Final = "strpos(t.folded, {}) > 0"
_PARTS: Final = "token_authority.parts(t.folded) @> {}::text[]"
_ID: Final = re.compile(r"tok_[0-9a-z]+")
_HINT: Final = re.compile(r"(?:(?:pgt_)?(?:…|\.\.\.))?([0-9a-z]{4})")
_WITH_ID: Final = "ARRAY(SELECT id FROM token_authority.token WHERE lower(id) = {})"
_WITH_HINT: Final = (
    "ARRAY(SELECT holder_id FROM token_authority.secret WHERE holder_kind = 'token' AND lower(right(hint, 4)) = {})"
)
_CONDITIONS: Final = {
    "ids": "t.id = ANY ({})",
    "revocable": "(t.revoked_at IS NULL) = {}",
    "owner": "coalesce(t.owner, '') = {}",
    "site": "t.site_id = {}",
    "overlapping_keys": "t.reach && {}::text[]",
    "created_after": "t.created_at >= {}",
    "created_before": "t.created_at < {}",
    "used_after": "coalesce(u.last_used_at, '-infinity') >= {}",
    "unused_since": "coalesce(u.last_used_at, '-infinity') < {}",
    "expires_after": "coalesce(t.expires_at, 'infinity') >= {}",
    "expires_before": "coalesce(t.expires_at, 'infinity') < {}",
    "sites": "t.site_id = ANY ({})",
    "limit_keys": "t.reach && {}::text[]",
    "limit_prefixes": (
        "NOT EXISTS (SELECT FROM unnest(t.reach) AS key WHERE strpos(key, ':') > 0 AND NOT EXISTS ("
        "SELECT FROM unnest({}::text[]) AS prefix WHERE starts_with(key, prefix)))"
    ),
    "limit_wildcards": (
        "NOT EXISTS (SELECT FROM unnest(t.scopes) AS scope WHERE starts_with(scope, 'polls:*:') AND NOT EXISTS ("
        "SELECT FROM unnest({}::text[]) AS prefix WHERE starts_with(scope || '/', prefix)))"
    ),
}
_END: Final = "coalesce(t.expires_at, 'infinity')"
_ALIVE: Final = "t.revoked_at IS NULL"
ACTIVE: Final = f"{_ALIVE} AND {_END} > {{now}} AND t.disabled_at IS NULL"
STATUS_CONDITIONS: Final[dict[StatusFilter, str]] = {
    "active": ACTIVE,
    "expiring": f"{ACTIVE} AND {_END} <= {{now}} + {{soon}}::interval",
    "disabled": f"{_ALIVE} AND {_END} > {{now}} AND t.disabled_at IS NOT NULL",
    "expired": f"{_ALIVE} AND {_END} <= {{now}}",
    "revoked": "t.revoked_at IS NOT NULL",
    "alive": f"{_ALIVE} AND {_END} > {{now}}",
}


class Arguments:
    """The arguments of a statement, numbered in the order in which they are added."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def add(self, value: object) -> str:
        """Add a value and return its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"


def conditions(selection: Selection, arguments: Arguments, now: datetime) -> list[str]:
    """Return the conditions on tokens `t` and their counts `u`, without the index condition of a search."""
    where = []
    for name, condition in _CONDITIONS.items():
        value = getattr(selection, name)
        if value is not None:
            where.append(condition.format(arguments.add(value)))
    if selection.statuses is not None:
        where.append(_status_condition(selection.statuses, arguments, now))
    if selection.search is not None:
        text = fold(selection.search)
        where.append(_or_named(_SEARCH.format(arguments.add(text)), text, arguments))
    return where


def _status_condition(statuses: Sequence[StatusFilter], arguments: Arguments, now: datetime) -> str:
    status = " OR ".join(f"({STATUS_CONDITIONS[each]})" for each in dict.fromkeys(statuses))
    at = arguments.add(now) if "{now}" in status else ""
    soon = arguments.add(EXPIRING) if "{soon}" in status else ""
    return f"({status.format(now=f'{at}::timestamptz', soon=soon)})"


def _or_named(condition: str, text: str, arguments: Arguments) -> str:
    """Return the condition, or that the text is the whole id of the token or the last characters of a secret of it.

    An array that is computed once, unlike a join, leaves the indexes of both conditions usable.
    """
    hint = _HINT.fullmatch(text)
    if hint:
        named = _WITH_HINT.format(arguments.add(hint[1]))
    elif _ID.fullmatch(text):
        named = _WITH_ID.format(arguments.add(text))
    else:
        return condition
    return f"({condition} OR t.id = ANY ({named}))"


def search_parts(search: str, arguments: Arguments) -> str:
    """Return the index condition of a search: the text contains some parts of `search`, or `search` names the token."""
    text = fold(search)
    runs = [text] if len(text) < 3 else sorted({text[start : start + 3] for start in range(len(text) - 2)})
    return _or_named(_PARTS.format(arguments.add(runs[:: -(-len(runs) // MAX_PARTS)])), text, arguments)
