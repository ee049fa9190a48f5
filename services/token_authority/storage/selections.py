"""Finds tokens by conditions, in any order, a page at a time.

A statement is put together from the conditions that are given, each written here once, so that the indexes behind
those conditions can be used. `docs/finding-tokens.md` has the plans.
"""

from datetime import datetime
from typing import Final, Literal, NamedTuple

from services.token_authority.domain.selection import EXPIRING, Selection, StatusFilter
from services.token_authority.domain.token import Token, searchable
from services.token_authority.storage.tokens import TOKEN_COLUMNS, token_of
from services.token_authority.storage.usage import Use
from shared.runtime.postgres import Executor

SortKey = Literal["name", "owner", "site", "created_at", "expires_at", "last_used_at"]

_CONDITIONS: Final = {
    "ids": "t.id = ANY ({})",
    "alive": "(t.revoked_at IS NULL) = {}",
    "search": "token_authority.grams(t.folded) @> token_authority.grams({0}) AND strpos(t.folded, {0}) > 0",
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
    "covering": (
        "NOT EXISTS (SELECT FROM unnest(t.reach) AS mark WHERE strpos(mark, ':') > 0 AND NOT EXISTS ("
        "SELECT FROM unnest({}::text[]) AS beginning WHERE starts_with(mark, beginning)))"
    ),
}
_END: Final = "coalesce(t.expires_at, 'infinity')"
_ALIVE: Final = "t.revoked_at IS NULL"
_ACTIVE: Final = f"{_ALIVE} AND {_END} > {{now}} AND t.disabled_at IS NULL"
_STATUSES: Final[dict[StatusFilter, str]] = {
    "active": _ACTIVE,
    "expiring": f"{_ACTIVE} AND {_END} <= {{now}} + {{soon}}::interval",
    "disabled": f"{_ALIVE} AND {_END} > {{now}} AND t.disabled_at IS NOT NULL",
    "expired": f"{_ALIVE} AND {_END} <= {{now}}",
    "revoked": "t.revoked_at IS NOT NULL",
}
_SORTS: Final[dict[SortKey, tuple[str, str]]] = {
    "name": ("t.name", "text"),
    "owner": ("coalesce(t.owner, '')", "text"),
    "site": ("t.site_id", "text"),
    "created_at": ("t.created_at", "timestamptz"),
    "expires_at": ("coalesce(t.expires_at, 'infinity')", "timestamptz"),
    "last_used_at": ("coalesce(u.last_used_at, '-infinity')", "timestamptz"),
}


class Order(NamedTuple):
    """By which column, with the id behind it, and in which direction."""

    key: SortKey = "name"
    descending: bool = False


class Found(NamedTuple):
    """A token with its use, and where it stands in the order: `place` and its id begin the next page."""

    token: Token
    use: Use
    place: str


async def select_tokens(
    executor: Executor,
    selection: Selection,
    order: Order,
    after: tuple[str, str] | None,
    limit: int,
    now: datetime,
) -> list[Found]:
    """Up to `limit` tokens in order, from behind the place and id given."""
    arguments = _Arguments()
    where = _where(selection, arguments, now)
    expression, kind = _SORTS[order.key]
    direction, beyond = ("DESC", "<") if order.descending else ("ASC", ">")
    if after is not None:
        place, token_id = after
        where.append(f"({expression}, t.id) {beyond} ({arguments.add(place)}::text::{kind}, {arguments.add(token_id)})")
    query = f"""
        -- select_tokens: a page of tokens that meet every condition
        SELECT {TOKEN_COLUMNS}, u.uses, u.refusals, u.last_used_at, ({expression})::text AS place
        FROM token_authority.token t JOIN token_authority.token_use u ON u.token_id = t.id
        WHERE {" AND ".join(where) or "true"}
        ORDER BY {expression} {direction}, t.id {direction} LIMIT {arguments.add(limit)}
    """  # noqa: S608
    rows = await executor.fetch(query, *arguments.values)
    return [Found(token_of(row), Use(row["uses"], row["refusals"], row["last_used_at"]), row["place"]) for row in rows]


async def select_matching(executor: Executor, selection: Selection, after: str, limit: int, now: datetime) -> list[str]:
    """Up to `limit` ids of tokens, dead or alive, that meet every condition, from behind the id given."""
    arguments = _Arguments(after, limit)
    where = ["t.id > $1", *_where(selection, arguments, now)]
    query = f"""
        -- select_matching: a page of ids of tokens that meet every condition
        SELECT t.id FROM token_authority.token t JOIN token_authority.token_use u ON u.token_id = t.id
        WHERE {" AND ".join(where)} ORDER BY t.id LIMIT $2
    """  # noqa: S608
    return [row["id"] for row in await executor.fetch(query, *arguments.values)]


class _Arguments:
    """The arguments of a statement, each with its place in it."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def add(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def _where(selection: Selection, arguments: _Arguments, now: datetime) -> list[str]:
    where = []
    for name, condition in _CONDITIONS.items():
        value = getattr(selection, name)
        if value is not None:
            where.append(condition.format(arguments.add(searchable(value) if name == "search" else value)))
    if selection.status is not None:
        status = _STATUSES[selection.status]
        at = arguments.add(now) if "{now}" in status else ""
        soon = arguments.add(EXPIRING) if "{soon}" in status else ""
        where.append(status.format(now=f"{at}::timestamptz", soon=soon))
    return where
