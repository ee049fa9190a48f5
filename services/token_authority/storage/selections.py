"""Finds tokens by conditions, in any order, a page at a time. `docs/finding-tokens.md` has the plans.

A page's ids are found first, and then what is shown of them, so that only that is carried along.
"""

from datetime import datetime
from typing import Final, Literal, NamedTuple

from services.token_authority.domain.selection import Selection
from services.token_authority.domain.token import Token
from services.token_authority.storage.conditions import Arguments, conditions, parts
from services.token_authority.storage.tokens import TOKEN_COLUMNS, token_of
from services.token_authority.storage.usage import Use
from shared.runtime.postgres.database import Connection, Row

SortKey = Literal["name", "owner", "site", "created_at", "expires_at", "last_used_at"]

WALKED: Final = 1000
"""Tokens among which a text is looked for in order, before its index is asked for every token that has it."""

_SORTS: Final[dict[SortKey, tuple[str, str]]] = {
    "name": ("t.name", "text"),
    "owner": ("coalesce(t.owner, '')", "text"),
    "site": ("t.site_id", "text"),
    "created_at": ("t.created_at", "timestamptz"),
    "expires_at": ("coalesce(t.expires_at, 'infinity')", "timestamptz"),
    "last_used_at": ("coalesce(u.last_used_at, '-infinity')", "timestamptz"),
}
TABLES: Final = "token_authority.token t JOIN token_authority.token_use u ON u.token_id = t.id"
"""Tokens as `t`, with their use as `u`."""
SHOWN: Final = f"{TOKEN_COLUMNS}, u.uses, u.refusals, u.last_used_at"
"""What `token_of` and `use_of` read."""


class Order(NamedTuple):
    """By which column, with the id behind it, and in which direction."""

    key: SortKey = "name"
    descending: bool = False

    @property
    def by_time(self) -> bool:
        """Whether places in it are times."""
        return _SORTS[self.key][1] == "timestamptz"


class Found(NamedTuple):
    """A token with its use, and where it stands in the order: `place` and its id begin the next page."""

    token: Token
    use: Use
    place: str


class Page(NamedTuple):
    """Up to `limit` tokens in order, from behind the place and id given."""

    order: Order
    after: tuple[str, str] | None
    limit: int


async def select_tokens(connection: Connection, selection: Selection, page: Page, now: datetime) -> list[Found]:
    """A page of the tokens that meet every condition."""
    if selection.search is None:
        return await _plain(connection, selection, page, now)
    found = await _walk(connection, selection, page, now)
    return found if len(found) == page.limit else await _gather(connection, selection, selection.search, page, now)


async def _plain(connection: Connection, selection: Selection, page: Page, now: datetime) -> list[Found]:
    arguments = Arguments()
    where = [*conditions(selection, arguments, now), *_behind(page, arguments)]
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
    return [_found(row) for row in await connection.fetch(query, *arguments.values)]


async def _walk(connection: Connection, selection: Selection, page: Page, now: datetime) -> list[Found]:
    """Fewer than the limit does not mean that there are no more: then the text is rare, or stands further on."""
    arguments = Arguments()
    asked = conditions(selection, arguments, now)
    tables = _tables(asked, page)
    where = [condition.replace("u.last_used_at", "t.last_used_at") for condition in asked]
    expression, direction = _order(page)
    query = f"""
        -- walk_tokens: of the next tokens in order those with a text
        WITH page AS MATERIALIZED (
            SELECT t.id, t.place FROM (
                SELECT t.*{", u.last_used_at" if tables == TABLES else ""}, {expression} AS place FROM {tables}
                WHERE {" AND ".join(_behind(page, arguments)) or "true"}
                ORDER BY {expression} {direction}, t.id {direction} LIMIT {WALKED}
            ) t
            WHERE {" AND ".join(where)} ORDER BY t.place {direction}, t.id {direction} LIMIT {arguments.add(page.limit)}
        )
        {_details(direction)}
    """  # noqa: S608
    return [_found(row) for row in await connection.fetch(query, *arguments.values)]


async def _gather(connection: Connection, selection: Selection, search: str, page: Page, now: datetime) -> list[Found]:
    """`OFFSET 0` keeps the order's index out of it, where each row's parts would have to be made."""
    arguments = Arguments()
    where = [*conditions(selection, arguments, now), parts(search, arguments), *_behind(page, arguments)]
    expression, direction = _order(page)
    query = f"""
        -- gather_tokens: a page of all tokens with a text
        WITH page AS MATERIALIZED (
            SELECT t.id, t.place FROM (
                SELECT t.id, {expression} AS place FROM {_tables(where, page)} WHERE {" AND ".join(where)} OFFSET 0
            ) t
            ORDER BY t.place {direction}, t.id {direction} LIMIT {arguments.add(page.limit)}
        )
        {_details(direction)}
    """  # noqa: S608
    return [_found(row) for row in await connection.fetch(query, *arguments.values)]


async def select_matching(
    connection: Connection, selection: Selection, after: str, limit: int, now: datetime
) -> list[str]:
    """Up to `limit` ids of tokens, dead or alive, that meet every condition, from behind the id given."""
    arguments = Arguments(after, limit)
    where = ["t.id > $1", *conditions(selection, arguments, now)]
    query = f"""
        -- select_matching: a page of ids of tokens that meet every condition
        SELECT t.id FROM {TABLES} WHERE {" AND ".join(where)} ORDER BY t.id LIMIT $2
    """  # noqa: S608
    return [row["id"] for row in await connection.fetch(query, *arguments.values)]


def use_of(row: Row) -> Use:
    """The use in a row that has `SHOWN`."""
    return Use(row["uses"], row["refusals"], row["last_used_at"])


def _found(row: Row) -> Found:
    return Found(token_of(row), use_of(row), row["place"])


def _order(page: Page) -> tuple[str, str]:
    return _SORTS[page.order.key][0], "DESC" if page.order.descending else "ASC"


def _behind(page: Page, arguments: Arguments) -> list[str]:
    if page.after is None:
        return []
    expression, kind = _SORTS[page.order.key]
    token_id = "u.token_id" if "u." in expression else "t.id"  # of the table whose index has both
    place, after = map(arguments.add, page.after)
    return [f"({expression}, {token_id}) {'<' if page.order.descending else '>'} ({place}::text::{kind}, {after})"]


def _tables(where: list[str], page: Page) -> str:
    """With the use only where it is asked for."""
    uses = page.order.key == "last_used_at" or any("u." in condition for condition in where)
    return TABLES if uses else "token_authority.token t"


def _details(direction: str) -> str:
    return f"""
        SELECT {SHOWN}, page.place::text AS place
        FROM page JOIN {TABLES} ON t.id = page.id ORDER BY page.place {direction}, page.id {direction}
    """  # noqa: S608
