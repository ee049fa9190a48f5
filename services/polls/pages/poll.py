"""`/p/…`: the page where people vote by a link, and see results."""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from aiohttp import hdrs, web
from msgspec.structs import replace

from services.polls.app_keys import SETTINGS, VOTES, VOTING_LINKS
from services.polls.domain.ballot import Voter
from services.polls.domain.poll import Option, closing_time, in_order
from services.polls.domain.results import Audience
from services.polls.domain.voter_pass import VoterPass
from services.polls.pages.changes_after_votes import CHANGES
from services.polls.pages.manage_words import describe_settings
from services.polls.pages.page import page
from services.polls.pages.paths import voting_path
from services.polls.pages.results_view import VIEWS, ResultsView, read_view
from services.polls.pages.voter_cookies import (
    ENTRY_LIFE_S,
    VOTER_LIFE_S,
    HeldPass,
    forget_pass,
    new_pass,
    read_link_id,
    read_pass,
    send_pass,
)
from shared.contract.token import random_base62
from shared.runtime.http.address import network_of
from shared.runtime.http.client_address import client_address
from shared.runtime.http.query import query_of
from shared.runtime.pages.forms import (
    FORM_TOKEN,
    Form,
    form_token,
)
from shared.runtime.pages.page_response import PAGE_POLICY, embeddable

_BROWSER_LENGTH: Final = 22


async def show_start(request: web.Request) -> web.StreamResponse:
    """Return the page for a browser without a link."""
    return _ask_for_link(request)


async def show_poll(request: web.Request) -> web.StreamResponse:
    """Open a link by its secret, and lead to its page without the secret; or return the page of a link."""
    text = request.match_info["link"]
    link_id = read_link_id(text)
    if link_id is None:
        return await _open_link(request, text)
    held = read_pass(request, link_id, "vote")
    if held is not None:
        return poll_page(request, held, await request.app[VOTES].load_link_voter(held.voter_pass))
    entry = read_pass(request, link_id, "entry")
    if entry is None:
        return _ask_for_link(request)
    held = new_pass(request, _become_participant(entry.voter_pass), "vote")
    voter = await request.app[VOTES].load_link_voter(held.voter_pass)
    response = poll_page(request, held, voter)
    is_personal = voter.link is not None and voter.link.kind == "personal"
    send_pass(request, response, held, "vote", None if is_personal else VOTER_LIFE_S)
    forget_pass(request, response, link_id, "entry")
    return response


def poll_page(
    request: web.Request,
    held: HeldPass,
    voter: Voter,
    *,
    form: Form | None = None,
    errors: Mapping[str, str] = {},
    notice: str = "",
    status: int = 200,
) -> web.Response:
    """Return the page of a link for a participant. With a form that was refused, it has the values of the form."""
    view = read_view(_wanted(request, form, "results"), _wanted(request, form, "sort"))
    spec, stored = voter.state.poll.spec, voter.stored
    shown = stored.to_shown() if stored is not None and not stored.is_withdrawn else None
    if form is not None:
        chosen = set(form.all("option"))
    else:
        chosen = set() if shown is None else {option_key(o) for o in spec.options if o.id in shown.option_ids}
    return page(
        request,
        "poll.html",
        status=status,
        policy=policy_of(request),
        path=voting_path(held.voter_pass.link_id),
        voter=voter,
        poll=spec,
        options=[(option_key(option), option) for option in in_order(spec.options)],
        chosen=chosen,
        ballot=shown,
        name=form.text("name") if form is not None else (shown.name if shown else None) or "",
        comment=form.text("comment") if form is not None else (shown.comment if shown else None) or "",
        errors={**_NO_ERRORS, **errors},
        notice=notice,
        results=voter.state.results(audience_of_voter(voter)),
        view=view,
        views=[ResultsView(each) for each in VIEWS],
        ends_at=closing_time(spec.settings),
        rules=describe_settings(spec.settings)[1:],  # the first one is above the options
        is_withdrawn=query_of(request).optional("done") == "withdrawn",
        changes=[CHANGES[each] for each in voter.state.poll.changed_after_votes],
        form_token_name=FORM_TOKEN,
        form_token=form_token(held.cookie),
    )


def audience_of_voter(voter: Voter) -> Audience:
    """Return the audience of results that a participant who votes by a link belongs to."""
    return Audience.VOTER if voter.has_voted else Audience.PUBLIC


def option_key(option: Option) -> str:
    """Return the value that stands for an option in a form: browsers may change an id, as its line breaks."""
    return sha256(option.id.encode()).hexdigest()


def _ask_for_link(request: web.Request) -> web.Response:
    origin = request.app[SETTINGS].base_url
    return page(request, "no_pass.html", status=403, policy=policy_of(request), origin=origin)


async def _open_link(request: web.Request, text: str) -> web.Response:
    """Give the browser a pass to enter, and lead to the page, whose address has no secret."""
    voter_pass = await request.app[VOTING_LINKS].open(text)
    response = web.Response(status=303, headers={hdrs.LOCATION: voting_path(voter_pass.link_id)})
    entry = replace(voter_pass, expires_at_s=time.time() + ENTRY_LIFE_S)
    send_pass(request, response, new_pass(request, entry, "entry"), "entry", ENTRY_LIFE_S)
    return response


def _become_participant(entry: VoterPass) -> VoterPass:
    """Return the pass to vote. A browser that enters by a shared link becomes a participant with a random id."""
    participant = entry.participant or f"browser-{random_base62(_BROWSER_LENGTH)}"
    return VoterPass(entry.link_id, entry.poll_id, participant)


def _wanted(request: web.Request, form: Form | None, name: str) -> str:
    return query_of(request).optional(name) or "" if form is None else form.text(name)


def network_of_browser(request: web.Request) -> str:
    """Return the key under which the address of the browser is limited."""
    return network_of(client_address(request, request.app[SETTINGS].trusted_proxy_hops))


def policy_of(request: web.Request) -> str:
    """Return the content security policy of the page, which listed origins may show in a frame."""
    return embeddable(PAGE_POLICY, request.app[SETTINGS].framing_origins)


_NO_ERRORS: Final = {"optionIds": "", "name": "", "comment": ""}
