"""Find tokens by conditions, in any order, one page at a time. `docs/finding-tokens.md` explains the plans.

Each statement finds the ids of a page first and joins the other columns afterwards, so that it sorts narrow rows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from services.token_authority.domain.selection import EXPIRING, Selection
from services.token_authority.domain.token_page import FoundToken, Page, SortKey
from services.token_authority.storage.conditions import STATUS_CONDITIONS, Arguments, conditions, search_parts
from services.token_authority.storage.tokens import TOKEN_COLUMNS, read_token
from services.token_authority.storage.usage import USE_COLUMNS, read_use
from shared.runtime.postgres.database import Connection, Row

MAX_SCANNED: Final = 1000
"""Tokens that are scanned in order for a search text, before its index is used to find every token with the text."""

MAX_COUNTED: Final = 5_000
"""Tokens that are counted by status: enough for exact numbers in most lists."""
INDEXED_LENGTH: Final = 3
"""Shorter texts are in so many tokens that a scan finds them sooner than the index."""

_SORTS: Final[dict[SortKey, tuple[str, str]]] = {
    "name": ("t.name", "text"),
    "owner": ("coalesce(t.owner, '')", "text"),
    "site": ("t.site_id", "text"),
    "created_at": ("t.created_at", "timestamptz"),
    "expires_at": ("coalesce(t.expires_at, 'infinity')", "timestamptz"),
    "last_used_at": ("coalesce(u.last_used_at, '-infinity')", "timestamptz"),
}
TABLES: Final = "token_authority.token t JOIN token_authority.token_use u ON u.token_id = t.id"
"""Tokens as `t` with their counts as `u`."""
SHOWN: Final = f"{TOKEN_COLUMNS}, {USE_COLUMNS}"
"""The columns that `read_token` and `read_use` read."""


class Counts(NamedTuple):
    """How many tokens have each status, and how many there are. Unless they `are_complete`, there are more of each."""

    by_status: Mapping[str, int]
    total: int
    are_complete: bool


async def select_tokens(connection: Connection, selection: Selection, page: Page, now: datetime) -> list[FoundToken]:
    """Return a page of the tokens that meet every condition."""
    if selection.search is None:
        return await _select_by_conditions(connection, selection, page, now)
    found = await _scan_in_order(connection, selection, page, now)
    return (
        found
        if len(found) == page.limit
        else await _select_by_search(connection, selection, selection.search, page, now)
    )


async def _select_by_conditions(
    connection: Connection, selection: Selection, page: Page, now: datetime
) -> list[FoundToken]:
    arguments = Arguments()
    where = [*conditions(selection, arguments, now), *_after_condition(page, arguments)]
    expression, direction = _order(page)
    query = f"""
        -- select_tokens: a page of tokens that meet every condition
        WITH page AS MATERIALIZED (
            SELECT t.id, {expression} AS place FROM {_tables(where, page)}
            WHERE {" AND ".join(where) or "true"}
            ORDER BY {expression} {direction}, t.id {direction} LIMIT {arguments.add(page.limit)}
        )
        {_details(direction)}
    """  # noqa: S608
    return [_read_found_token(row) for row in await connection.fetch(query, *arguments.values)]


async def _scan_in_order(connection: Connection, selection: Selection, page: Page, now: datetime) -> list[FoundToken]:
    """Search the next tokens in order. Fewer than the limit may mean that the text is rare, not that the list ends."""
    arguments = Arguments()
    where_use = conditions(selection, arguments, now)
    tables = _tables(where_use, page)
    where = [condition.replace("u.last_used_at", "t.last_used_at") for condition in where_use]
    expression, direction = _order(page)
    query = f"""
        -- walk_tokens: those of the next tokens in order that contain a text
        WITH page AS MATERIALIZED (
            SELECT t.id, t.place FROM (
                SELECT t.*{", u.last_used_at" if tables == TABLES else ""}, {expression} AS place FROM {tables}
                WHERE {" AND ".join(_after_condition(page, arguments)) or "true"}
                ORDER BY {expression} {direction}, t.id {direction} LIMIT {MAX_SCANNED}
            ) t
            WHERE {" AND ".join(where)} ORDER BY t.place {direction}, t.id {direction} LIMIT {arguments.add(page.limit)}
        )
        {_details(direction)}
    """  # noqa: S608
    return [_read_found_token(row) for row in await connection.fetch(query, *arguments.values)]


async def _select_by_search(
    connection: Connection, selection: Selection, search: str, page: Page, now: datetime
) -> list[FoundToken]:
    """Use the search index. `OFFSET 0` prevents a scan in order, which would compute the parts of each row."""
    arguments = Arguments()
    where = [
        *conditions(selection, arguments, now),
        search_parts(search, arguments),
        *_after_condition(page, arguments),
    ]
    expression, direction = _order(page)
    query = f"""
        -- gather_tokens: a page of all tokens that contain a text
        WITH page AS MATERIALIZED (
            SELECT t.id, t.place FROM (
                SELECT t.id, {expression} AS place FROM {_tables(where, page)} WHERE {" AND ".join(where)} OFFSET 0
            ) t
            ORDER BY t.place {direction}, t.id {direction} LIMIT {arguments.add(page.limit)}
        )
        {_details(direction)}
    """  # noqa: S608
    return [_read_found_token(row) for row in await connection.fetch(query, *arguments.values)]


async def select_matching(
    connection: Connection, selection: Selection, after: str, limit: int, now: datetime
) -> list[str]:
    """Return up to `limit` ids after `after` of tokens in any status that meet every condition."""
    arguments = Arguments(after, limit)
    where = ["t.id > $1", *conditions(selection, arguments, now)]
    query = f"""
        -- select_matching: a page of ids of tokens that meet every condition
        SELECT t.id FROM {TABLES} WHERE {" AND ".join(where)} ORDER BY t.id LIMIT $2
    """  # noqa: S608
    return [row["id"] for row in await connection.fetch(query, *arguments.values)]


async def count_by_status(connection: Connection, selection: Selection, now: datetime) -> Counts:
    """Count the tokens that meet every condition, by status. The selection has no condition on the status.

    At most `MAX_COUNTED` tokens are looked at, so that the time does not grow with their number. The planner does not
    see that limit: it would prefer a scan to an index.
    """
    arguments = Arguments()
    where = conditions(selection, arguments, now)
    if selection.search is not None and len(selection.search) >= INDEXED_LENGTH:
        where.append(search_parts(selection.search, arguments))
    if selection.overlapping_keys is not None:
        where.append("token_authority.prefer_index(t.id)")
    at, soon = f"{arguments.add(now)}::timestamptz", arguments.add(EXPIRING)
    counts = ", ".join(
        f"count(*) FILTER (WHERE {condition.format(now=at, soon=soon)}) AS {status}"
        for status, condition in STATUS_CONDITIONS.items()
    )
    tables = TABLES if any("u." in condition for condition in where) else "token_authority.token t"
    query = f"""
        -- count_by_status: how many of the first tokens that meet every condition have each status
        WITH matching AS MATERIALIZED (
            SELECT t.revoked_at, t.disabled_at, t.expires_at FROM {tables} WHERE {" AND ".join(where) or "true"}
        )
        SELECT count(*) AS looked_at, {counts} FROM (SELECT * FROM matching LIMIT {MAX_COUNTED + 1}) t
    """  # noqa: S608
    (row,) = await connection.fetch(query, *arguments.values)
    return Counts(
        {status: row[status] for status in STATUS_CONDITIONS},
        total=min(row["looked_at"], MAX_COUNTED),
        are_complete=row["looked_at"] <= MAX_COUNTED,
    )


async def count_by_site(connection: Connection, selection: Selection, now: datetime) -> dict[str, int]:
    """Return how many tokens meet every condition, by the id of their site. The selection has no search text."""
    arguments = Arguments()
    where = conditions(selection, arguments, now)
    tables = TABLES if any("u." in condition for condition in where) else "token_authority.token t"
    query = f"""
        -- count_by_site: how many tokens meet every condition, by site
        SELECT t.site_id, count(*) AS tokens FROM {tables} WHERE {" AND ".join(where) or "true"} GROUP BY t.site_id
    """  # noqa: S608
    return {row["site_id"]: row["tokens"] for row in await connection.fetch(query, *arguments.values)}


def _read_found_token(row: Row) -> FoundToken:
    return FoundToken(read_token(row), read_use(row), row["place"])


def _order(page: Page) -> tuple[str, str]:
    return _SORTS[page.order.key][0], "DESC" if page.order.descending else "ASC"


def _after_condition(page: Page, arguments: Arguments) -> list[str]:
    if page.after is None:
        return []
    expression, kind = _SORTS[page.order.key]
    token_id = "u.token_id" if "u." in expression else "t.id"  # from the table whose index has both columns
    place, after = map(arguments.add, page.after)
    return [f"({expression}, {token_id}) {'<' if page.order.descending else '>'} ({place}::text::{kind}, {after})"]


def _tables(where: list[str], page: Page) -> str:
    """Return the tables, with the counts only if a condition or the order needs them."""
    uses = page.order.key == "last_used_at" or any("u." in condition for condition in where)
    return TABLES if uses else "token_authority.token t"


def _details(direction: str) -> str:
    return f"""
        SELECT {SHOWN}, page.place::text AS place
        FROM page JOIN {TABLES} ON t.id = page.id ORDER BY page.place {direction}, page.id {direction}
    """  # noqa: S608
