"""The voting links of a poll: filters, pages, and what can be done with each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Struct

from services.polls.app_keys import FORM, POLL_READS, SETTINGS, VOTING_LINKS
from services.polls.domain.errors import UnknownPoll
from services.polls.domain.link import Link, LinkFilter, LinkStatus
from services.polls.domain.participant import read_participant
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.handlers.participants import query_participant
from services.polls.operations.authorization import load_authorized_poll
from services.polls.pages.manage_page import manage_page
from services.polls.pages.paths import poll_path, voting_path
from services.polls.payloads.fields import Time
from shared.contract.presented_secret import resembles_secret
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import read_query
from shared.runtime.pages.filters import sentence
from shared.runtime.pages.notices import notice_of
from shared.runtime.text.characters import InvalidText

ROWS: Final = 50
KINDS: Final = (("", "Shared and personal"), ("shared", "Shared"), ("personal", "Personal"))
STATUSES: Final = (("", "Any status"), ("active", "Active"), ("expired", "Expired"), ("revoked", "Revoked"))
STATUS_WORDS: Final[Mapping[LinkStatus, str]] = {"active": "Active", "expired": "Expired", "revoked": "Revoked"}
NOTICES: Final[Mapping[str, str]] = {
    "sent_before": "This form was sent before. The links were created then, and their addresses were shown once. If "
    "they are lost, revoke these links, and create others.",
    "revoked": "The link is revoked. It opens no page, and no vote by it is stored any more.",
    "was_revoked": "The link was revoked before, so nothing was changed.",
    "none_left": "No link is left to revoke, so nothing was changed.",
}
"""The notices that a page may lead here with."""


class LinkConditions(Struct, frozen=True, omit_defaults=True):
    """The conditions of the list, or of links to revoke. An empty text is no condition."""

    kind: Literal["", "shared", "personal"] = ""
    status: Literal["", "active", "expired", "revoked"] = ""
    participant: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether there is a condition."""
        return bool(self.kind or self.status or self.participant)

    def to_filter(self) -> LinkFilter:
        """Return the conditions of the operation. Raise `BadRequest`."""
        participant = query_participant(self.participant) if self.participant else None
        return LinkFilter(self.kind or None, self.status or None, participant)

    def url(self, poll_id: UUID, page: str = "links", **query: str) -> str:
        """Return the address of a page of the poll with these conditions."""
        fields = {"kind": self.kind, "status": self.status, "participant": self.participant, **query}
        given = {name: text for name, text in fields.items() if text}
        return f"{poll_path(poll_id, page)}?{urlencode(given)}" if given else poll_path(poll_id, page)


class ListedLinks(LinkConditions, frozen=True):
    """The conditions and the page of the list, and the notice to show above it."""

    cursor: str = ""
    done: str = ""


class LinkRow(NamedTuple):
    """A row of the list."""

    link: Link
    status: LinkStatus
    status_word: str
    image: str


async def load_voting_poll(request: web.Request) -> PollState:
    """Return the poll in the path, whose links the token may manage. Raise `UnknownPoll` or `InsufficientScope`."""
    poll_id = require_path_uuid(request, "id", UnknownPoll)
    return await load_authorized_poll(request.app[POLL_READS], caller(request), poll_id, Action.VOTE)


async def show_links(request: web.Request) -> web.Response:
    """Return the list, the newest links first."""
    return await _list_page(request, await load_voting_poll(request), read_query(request, ListedLinks))


async def search_links(request: web.Request) -> web.Response:
    """Lead to the list with the conditions of a form. A secret that was entered never gets into an address."""
    state, form = await load_voting_poll(request), request[FORM]
    fields = {name: form.text(name) for name in ("kind", "status", "participant")}
    error = _flaw_of(fields["participant"])
    try:
        wanted = msgspec.convert({**fields, "participant": ""} if error else fields, ListedLinks)
    except msgspec.ValidationError:
        wanted = ListedLinks()
    if error:
        return await _list_page(request, state, wanted, error=error)
    raise web.HTTPSeeOther(wanted.url(state.poll.id))


async def _list_page(request: web.Request, state: PollState, query: ListedLinks, *, error: str = "") -> web.Response:
    """Return the list, or what is wrong with the participant of its form."""
    poll_id = state.poll.id
    after = read_cursor(query.cursor, tuple[Time, UUID]) if query.cursor else None
    found = await request.app[VOTING_LINKS].list(
        caller(request), poll_id, query.to_filter(), after, ROWS, newest_first=True
    )
    last = found.items[-1][0] if found.has_more else None
    return link_page(
        request,
        state,
        "manage_links.html",
        status=422 if error else 200,
        error=error,
        notice=notice_of(request, NOTICES),
        filters=query,
        kinds=KINDS,
        statuses=STATUSES,
        rows=[_row(request, state, link, at) for link, at in found.items],
        first_url=query.url(poll_id),
        next_url="" if last is None else query.url(poll_id, cursor=write_cursor((last.created_at, last.id))),
        revoke_url="" if query.status == "revoked" else query.url(poll_id, "links/revoke"),
    )


def link_page(
    request: web.Request,
    state: PollState,
    template: str,
    *,
    status: int = 200,
    secrets: Sequence[str] = (),
    **values: object,
) -> web.Response:
    """Return a page about the links of a poll. The templates have what leads back, and where links can be shown.

    `secrets` are those of new links, which this page alone shows.
    """
    shared: dict[str, object] = {
        "poll": state.poll,
        "is_closed": state.is_closed,
        "may_read": caller(request).may(Action.READ, state.poll.place),
        "embed_origins": request.app[SETTINGS].framing_origins,
    }
    return manage_page(request, template, status=status, secrets=secrets, **{**shared, **values})


def image_address(request: web.Request, state: PollState, link: Link) -> str:
    """Return the address of the image of the results for a shared link; empty if not everyone may see them."""
    if link.kind != "shared" or not state.results(Audience.PUBLIC).is_visible:
        return ""
    return request.app[SETTINGS].base_url + voting_path(link.id, "results.svg")


def _flaw_of(participant: str) -> str:
    """Return what is wrong with the participant of a form; empty if it is none, or can be looked for."""
    if resembles_secret(participant):
        return "This is a secret, not the id of a participant."
    try:
        if participant:
            read_participant(participant)
    except InvalidText as error:
        return sentence(f"this {error}")
    return ""


def _row(request: web.Request, state: PollState, link: Link, at: datetime) -> LinkRow:
    status = link.status_at(at)
    image = image_address(request, state, link) if status == "active" else ""
    return LinkRow(link, status, STATUS_WORDS[status], image)
