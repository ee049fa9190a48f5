"""The list of polls that the token may read: filters, pages, and links to what can be done with each."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Struct

from services.polls.app_keys import DATABASE, FORM
from services.polls.domain.listing import PollFilter
from services.polls.domain.state import PollState
from services.polls.operations.authorization import audience_of
from services.polls.pages import paths
from services.polls.pages.manage_page import manage_page
from services.polls.pages.manage_words import describe_abilities, describe_place
from services.polls.pages.place_choice import place_choice
from services.polls.storage.listing import select_page
from shared.contract.presented_secret import resembles_secret
from shared.contract.scope import Action, Path
from shared.guard import Caller, caller
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.query import read_query

ROWS: Final = 50
MAX_TEXT: Final = 255
"""The longest name of a condition, so that it fits into an address."""
STATUSES: Final = (("", "Open and closed"), ("open", "Open"), ("closed", "Closed"))

_POLL: Final = re.compile(
    r"(?:\S*/polls/)?(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:[/?#]\S*)?",
    re.ASCII | re.IGNORECASE,
)
"""The id of a poll, or an address with it."""


class ListFilters(Struct, frozen=True, omit_defaults=True):
    """The conditions and the page of the list. An empty text is no condition."""

    workspace: str = ""
    content: str = ""
    container: str = ""
    status: Literal["", "open", "closed"] = ""
    cursor: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether there is a condition."""
        return bool(self.workspace or self.content or self.container or self.status)

    def find_errors(self) -> Mapping[str, str]:
        """Return what is missing in an incomplete place, by its field."""
        if self.content and not self.workspace:
            return {"workspace": "Enter the workspace that the content is in."}
        if self.container and not self.content:
            return {"content": "Enter the content that the container is on."}
        return {}

    def to_path(self) -> Path:
        """Return the path below which polls are listed."""
        return tuple(filter(None, (self.workspace, self.content, self.container)))

    def url(self, cursor: str = "") -> str:
        """Return the address of the list with these conditions, from its first page on without a cursor."""
        fields = msgspec.to_builtins(msgspec.structs.replace(self, cursor=cursor))
        return f"{paths.POLLS}?{urlencode(fields)}" if fields else paths.POLLS


class PollRow(NamedTuple):
    """A row of the list. The numbers are `None` if the token may not see them."""

    id: UUID
    title: str
    place: str
    status: str
    participants: int | None
    votes: int | None
    updated_at: datetime
    links: Sequence[tuple[str, str]]


async def show_polls(request: web.Request) -> web.Response:
    """Return the list."""
    filters = read_query(request, ListFilters)
    errors = filters.find_errors()
    bearer = caller(request)
    readable = [] if errors else bearer.find_paths(Action.READ, filters.to_path())
    if not readable:
        return _list_page(request, filters, errors=errors)
    conditions = PollFilter(bearer.require_paths(Action.READ, filters.to_path()), filters.status or None)
    after = read_cursor(filters.cursor, tuple[datetime, UUID]) if filters.cursor else None
    found = await select_page(request.app[DATABASE], bearer.site, conditions, after, ROWS + 1, newest_first=True)
    rows = found[:ROWS]
    more = write_cursor((rows[-1].poll.created_at, rows[-1].poll.id)) if len(found) > ROWS else ""
    return _list_page(
        request,
        filters,
        rows=[_row(bearer, state) for state in rows],
        next_url=filters.url(more) if more else "",
    )


async def search_polls(request: web.Request) -> web.Response:
    """Lead to the list with the conditions of a form. A secret that was entered never gets into an address."""
    form = request[FORM]
    fields = {name: form.text(f"place-{name}") for name in ("workspace", "content", "container")}
    fields["status"] = form.text("status")
    errors = {
        name: "This is a secret, not the name of a place."
        if resembles_secret(text)
        else f"This has {len(text)} characters; a name has at most {MAX_TEXT}."
        for name, text in fields.items()
        if resembles_secret(text) or len(text) > MAX_TEXT
    }
    if errors:
        return _list_page(request, ListFilters(), errors=errors)
    try:
        filters = msgspec.convert(fields, ListFilters)
    except msgspec.ValidationError:
        filters = ListFilters()
    raise web.HTTPSeeOther(filters.url())


async def find_links(request: web.Request) -> web.Response:
    """Lead to the voting links of the poll whose id or address was entered, for a token that may not list polls."""
    caller(request).require_paths(Action.VOTE, ())
    found = _POLL.fullmatch(request[FORM].text("poll"))
    if found is None:
        return _list_page(
            request, ListFilters(), errors={"poll": "Enter the id of a poll, or the address of its page."}
        )
    raise web.HTTPSeeOther(paths.poll_path(UUID(found["id"]), "links"))


def _list_page(
    request: web.Request,
    filters: ListFilters,
    *,
    rows: Sequence[PollRow] = (),
    next_url: str = "",
    errors: Mapping[str, str] = {},
) -> web.Response:
    bearer = caller(request)
    readable = bearer.find_paths(Action.READ)
    return manage_page(
        request,
        "manage_list.html",
        status=422 if errors else 200,
        filters=filters,
        rows=rows,
        next_url=next_url,
        errors=errors,
        statuses=STATUSES,
        can_read=bool(readable),
        is_readable=bool(bearer.find_paths(Action.READ, filters.to_path())),
        can_vote=bool(bearer.find_paths(Action.VOTE)),
        can_create=bool(bearer.find_paths(Action.CREATE)),
        choice=place_choice(readable) if readable else None,
        abilities=describe_abilities(bearer),
    )


def _row(bearer: Caller, state: PollState) -> PollRow:
    poll, place = state.poll, state.poll.place
    results = state.results(audience_of(bearer, place))
    links = (
        ("Edit", "edit", Action.UPDATE),
        ("Results", "results", Action.READ),
        ("Links", "links", Action.VOTE),
        ("Delete", "delete", Action.DELETE),
    )
    return PollRow(
        poll.id,
        poll.spec.title,
        describe_place(place),
        state.status,
        results.participants,
        results.votes,
        poll.updated_at,
        [(title, paths.poll_path(poll.id, page)) for title, page, action in links if bearer.may(action, place)],
    )
