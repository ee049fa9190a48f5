"""Revoke one voting link, or all that meet some conditions, after a page that says what that does."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from aiohttp import web

from services.polls.app_keys import FORM, VOTING_LINKS
from services.polls.domain.errors import UnknownLink
from services.polls.domain.link import Link
from services.polls.domain.state import PollState
from services.polls.handlers.actor import actor_of
from services.polls.pages import paths
from services.polls.pages.manage_links import LinkConditions, link_page, load_voting_poll
from services.polls.pages.manage_page import manage_page
from shared.guard import caller
from shared.runtime.http.query import read_query
from shared.runtime.pages.filters import plural
from shared.runtime.pages.notices import lead_to

_STAY = "Votes that were cast stay."


class LinksToRevoke(LinkConditions, frozen=True):
    """The link to revoke, by its id; without one, all links that meet the conditions."""

    link: str = ""


class Question(NamedTuple):
    """What a page asks: what the revocation will do, to how many links."""

    title: str
    verb: str
    number: int
    effects: Sequence[str]


async def show_revoke(request: web.Request) -> web.Response:
    """Return the page that says what revoking will do, and to how many links."""
    return await _ask(request, await load_voting_poll(request), read_query(request, LinksToRevoke))


async def revoke_links(request: web.Request) -> web.Response:
    """Revoke what the form says, and lead to the list, or return the page that says how many links were revoked."""
    state, form = await load_voting_poll(request), request[FORM]
    try:
        fields = {name: form.text(name) for name in ("link", "kind", "status", "participant")}
        wanted = msgspec.convert(fields, LinksToRevoke)
    except msgspec.ValidationError:
        return lead_to(paths.poll_path(state.poll.id, "links"), "none_left")
    if wanted.link:
        return await _revoke_one(request, state, _read_id(wanted.link))
    links, conditions = request.app[VOTING_LINKS], wanted.to_filter()
    if str(await links.count_to_revoke(caller(request), state.poll.id, conditions)) != form.text("count"):
        return await _ask(request, state, wanted, is_changed=True)
    revoked = await links.revoke_all(caller(request), state.poll.id, conditions, actor_of(request))
    path = paths.poll_path(state.poll.id, "links")
    were = "link was" if revoked == 1 else "links were"
    return manage_page(
        request,
        "manage_done.html",
        title="Voting links revoked",
        effects=[f"{revoked:,} voting {were} revoked. {_STAY}"],
        ways=[("Voting links", path)],
        then=path,
    )


async def _revoke_one(request: web.Request, state: PollState, link_id: UUID) -> web.Response:
    links, path = request.app[VOTING_LINKS], paths.poll_path(state.poll.id, "links")
    link, _ = await links.load(caller(request), state.poll.id, link_id)
    await links.revoke(caller(request), state.poll.id, link_id, actor_of(request))
    return lead_to(path, "was_revoked" if link.revoked_at else "revoked")


async def _ask(
    request: web.Request, state: PollState, wanted: LinksToRevoke, *, is_changed: bool = False
) -> web.Response:
    """Return the page that asks; lead to the list if there is nothing to revoke."""
    links, poll_id = request.app[VOTING_LINKS], state.poll.id
    path = paths.poll_path(poll_id, "links")
    if wanted.link:
        link, _ = await links.load(caller(request), poll_id, _read_id(wanted.link))
        if link.revoked_at:
            return lead_to(path, "was_revoked")
        question = _question_for_one(link)
    else:
        count = await links.count_to_revoke(caller(request), poll_id, wanted.to_filter())
        if not count:
            return lead_to(path, "none_left")
        question = _question_for_all(wanted, count)
    return link_page(
        request,
        state,
        "manage_links_revoke.html",
        status=409 if is_changed else 200,
        question=question,
        wanted=wanted,
        is_changed=is_changed,
    )


def _question_for_one(link: Link) -> Question:
    name = link.label or link.name or link.participant or link.hint
    effects = [
        "From then on the link opens no page, and no vote by it is stored. Pages that show live results end.",
        _describe_votes(link),
        "A link that is revoked cannot be used again.",
    ]
    return Question(f"Revoke the {link.kind} link “{name}”", "Revoke permanently", 1, effects)


def _describe_votes(link: Link) -> str:
    if link.kind == "personal":
        return f"{_STAY} The participant can get another link."
    if link.participants is None:
        return _STAY
    return f"{plural(link.participants, 'person has', 'people have')} voted by it. {_STAY}"


def _question_for_all(wanted: LinksToRevoke, count: int) -> Question:
    which = " ".join(filter(None, (wanted.status, wanted.kind)))
    number = f"{count:,} {which} {'link' if count == 1 else 'links'}" if which else plural(count, "link")
    owner = f" of {wanted.participant or 'this poll'}"
    effects = [
        f"{'All' if count > 1 else 'The'} {number}{owner} {'are' if count > 1 else 'is'} revoked. From then on they "
        "open no page, and no vote by them is stored. Pages that show live results end.",
        _STAY,
        "Links that are revoked cannot be used again.",
    ]
    title = f"Revoke {number}{owner if wanted.participant else ''}"
    return Question(title, f"Revoke {plural(count, 'link')} permanently", count, effects)


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UnknownLink from None
