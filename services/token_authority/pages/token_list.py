"""The list of tokens: search, filters, order, and links to what can be done with each."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import DATABASE, FORM, INTROSPECTOR, SESSION
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.selection import Selection, StatusFilter, new_selection
from services.token_authority.domain.token_page import Order, Page, SortKey
from services.token_authority.handlers.cursor import read_cursor, write_cursor
from services.token_authority.pages import paths
from services.token_authority.pages.page import page
from services.token_authority.pages.token_form import errors_of
from services.token_authority.storage.selections import Counts, count_by_status, select_tokens
from services.token_authority.storage.sites import select_sites
from shared.contract.presented_secret import resembles_secret, trim_secret
from shared.runtime.http.query import read_query

ROWS: Final = 80
"""So many rows of usual length stay below 60 KB."""
MAX_TEXT: Final = 255
"""The longest text of a condition, so that it fits into an address."""
CHIPS: Final = 2
"""Scopes that a row shows. The page of the token has all."""
TABS: Final[tuple[tuple[str, str], ...]] = (
    ("all", "All"),
    ("active", "Active"),
    ("expiring", "Expiring"),
    ("disabled", "Disabled"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
)
COLUMNS: Final[tuple[tuple[SortKey | None, str], ...]] = (
    ("name", "Token name"),
    (None, "Scope"),
    ("owner", "Owner"),
    ("expires_at", "Expires"),
    ("last_used_at", "Last used"),
    (None, "Status"),
)
NOTICES: Final = {"none_selected": "No token was selected, so nothing was changed. Select some of the list first."}
EXPIRES_WITHIN: Final = (("", "Any time"), ("7", "Within 7 days"), ("30", "Within 30 days"), ("90", "Within 90 days"))
NOT_USED_FOR: Final = (("", "Used or not"), ("30", "For 30 days"), ("90", "For 90 days"), ("180", "For 180 days"))


class TokenFilters(Struct, frozen=True, omit_defaults=True):
    """The conditions, the order and the page of the list. An empty text is no condition; days are whole numbers.

    `done` names the notice to show.
    """

    search: str = ""
    status: Literal["all", "active", "expiring", "disabled", "expired", "revoked"] = "all"
    owner: str = ""
    site: str = ""
    scope: str = ""
    expires: Literal["", "7", "30", "90"] = ""
    unused: Literal["", "30", "90", "180"] = ""
    sort: SortKey = "name"
    descending: bool = False
    cursor: str = ""
    done: str = ""

    def to_selection(self, now: datetime) -> Selection:
        """Return the conditions other than the status. Raise `InvalidValue`."""
        soon = now + timedelta(days=int(self.expires)) if self.expires else None
        return new_selection(
            search=self.search or None,
            owner=self.owner or None,
            site=self.site or None,
            scope=self.scope or None,
            expires_after=now if soon else None,
            expires_before=soon,
            unused_since=now - timedelta(days=int(self.unused)) if self.unused else None,
        )

    @property
    def statuses(self) -> list[StatusFilter] | None:
        """The statuses of the chosen tab; `None` for all."""
        return None if self.status == "all" else [self.status]

    @property
    def is_filtered(self) -> bool:
        """Whether there is a condition other than the status."""
        return bool(self.search or self.owner or self.site or self.scope or self.expires or self.unused)

    def url(self, **changes: object) -> str:
        """Return the address of the list with some fields changed, from its first page on unless `cursor` is given."""
        fields = msgspec.to_builtins(msgspec.structs.replace(self, **{"cursor": "", "done": "", **changes}))
        texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
        return f"{paths.TOKENS}?{urlencode(texts)}" if texts else paths.TOKENS


class Tab(NamedTuple):
    """A tab of the list with the number of its tokens, which ends with a plus if there are more."""

    title: str
    url: str
    tokens: str
    is_current: bool


class Column(NamedTuple):
    """A column of the list; `url` sorts by it, and is empty where it cannot be sorted."""

    title: str
    url: str
    sorted: Literal["ascending", "descending", "none"]


async def show_tokens(request: web.Request) -> web.Response:
    """Return the list."""
    filters = read_query(request, TokenFilters)
    order, now = Order(filters.sort, filters.descending), datetime.now(UTC)
    after = read_cursor(filters.cursor or None, order)
    database, rights = request.app[DATABASE], request[SESSION].rights
    try:
        chosen = filters.to_selection(now).within(rights)
    except InvalidValue as error:
        return await _list_page(request, filters, now, error=error)
    found = await select_tokens(
        database, msgspec.structs.replace(chosen, statuses=filters.statuses), Page(order, after, ROWS + 1), now
    )
    counts = await count_by_status(database, chosen, now)
    rows = found[:ROWS]
    more = write_cursor(order, rows[-1].place, rows[-1].token.id) if len(found) > ROWS else ""
    return await _list_page(
        request, filters, now, rows=rows, counts=counts, next_url=filters.url(cursor=more) if more else ""
    )


async def search_tokens(request: web.Request) -> web.Response:
    """Lead to the list with the conditions of a form, or to the token of a secret, which never gets into an address."""
    form = request[FORM]
    fields = {name: form.text(name) for name in TokenFilters.__struct_fields__ if form.text(name)}
    secret = next((name for name, text in fields.items() if resembles_secret(text)), None)
    if secret is not None:
        return await _show_token_of(request, secret, fields[secret])
    long = next((name for name, text in fields.items() if len(text) > MAX_TEXT), None)
    if long is not None:
        error = InvalidValue((long,), f"must have at most {MAX_TEXT} characters")
        return await _list_page(request, TokenFilters(), datetime.now(UTC), error=error)
    fields["descending"] = fields.get("descending") == "true"  # type: ignore[assignment]
    try:
        filters = msgspec.convert(fields, TokenFilters)
    except msgspec.ValidationError:
        filters = TokenFilters()
    raise web.HTTPSeeOther(filters.url())


async def _show_token_of(request: web.Request, field: str, secret: str) -> web.Response:
    found = await request.app[INTROSPECTOR].find_by_secret(trim_secret(secret))
    if found is None or not request[SESSION].rights.sees(found.token):
        error = InvalidValue((field,), "no token that you may see has this secret")
        return await _list_page(request, TokenFilters(), datetime.now(UTC), error=error)
    raise web.HTTPSeeOther(f"{paths.token_path(found.token.id)}?found={found.secret.id}")


async def _list_page(
    request: web.Request,
    filters: TokenFilters,
    now: datetime,
    *,
    rows: object = (),
    counts: Counts | None = None,
    next_url: str = "",
    error: InvalidValue | None = None,
) -> web.Response:
    sites = await select_sites(request.app[DATABASE])
    limits = request[SESSION].rights.sites
    return page(
        request,
        "tokens.html",
        status=422 if error else 200,
        filters=filters,
        now=now,
        rows=rows,
        tabs=[
            Tab(title, filters.url(status=name), _tokens_of(counts, name), name == filters.status)
            for name, title in TABS
        ],
        columns=[_column(filters, key, title) for key, title in COLUMNS],
        chips_shown=CHIPS,
        next_url=next_url,
        sites=[site for site in sites if limits is None or site.id in limits],
        expires_within=EXPIRES_WITHIN,
        not_used_for=NOT_USED_FOR,
        notice=NOTICES.get(filters.done, ""),
        errors=errors_of(error) if error else {},
    )


def _tokens_of(counts: Counts | None, tab: str) -> str:
    if counts is None:
        return ""
    return f"{counts.by_status.get(tab, counts.total):,}" + ("" if counts.are_complete else "+")


def _column(filters: TokenFilters, key: SortKey | None, title: str) -> Column:
    if key is None:
        return Column(title, "", "none")
    if key != filters.sort:
        return Column(title, filters.url(sort=key, descending=False), "none")
    return Column(
        title,
        filters.url(descending=not filters.descending),
        "descending" if filters.descending else "ascending",
    )
