"""Cast and withdraw a ballot by the form of a voting link's page."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from services.polls.app_keys import SETTINGS, VOTES
from services.polls.domain.ballot import Voter, new_choice
from services.polls.domain.errors import (
    AddressLimitReached,
    AlreadyVoted,
    InvalidBallot,
    LinkFull,
    PollClosed,
    UnknownBallot,
)
from services.polls.domain.poll import in_order
from services.polls.pages.page import page
from services.polls.pages.paths import voting_path
from services.polls.pages.poll import network_of_browser, option_key, policy_of, poll_page
from services.polls.pages.results_view import read_view
from services.polls.pages.voter_cookies import HeldPass, require_pass
from shared.runtime.docs.error_pages import HTML
from shared.runtime.http.accept import prefers
from shared.runtime.http.body import JSON
from shared.runtime.http.query import query_of
from shared.runtime.pages.forms import (
    FORM_TOKEN,
    Form,
    form_token,
    read_form,
    require_form_token,
    require_same_origin,
)


async def vote(request: web.Request) -> web.StreamResponse:
    """Cast a ballot, and lead to the page; or return the page with what is wrong with it.

    A client that prefers JSON gets a problem in place of that page.
    """
    held, form = await _read_vote(request)
    voter = await request.app[VOTES].load_link_voter(held.voter_pass)
    if voter.state.is_closed:
        return await _show_refusal(request, held, form, PollClosed())
    if form.raw("version") != str(voter.state.poll.version):
        return poll_page(request, held, voter, form=form, notice=_EDITED, status=409)
    keys = set(form.all("option"))
    chosen = [option.id for option in in_order(voter.state.poll.spec.options) if option_key(option) in keys]
    try:
        choice = new_choice(chosen, form.text("name") or None, form.text("comment") or None)
        cast = await request.app[VOTES].cast_by_link(voter, choice, network_of_browser(request))
    except (InvalidBallot, PollClosed, AlreadyVoted, LinkFull, AddressLimitReached) as refusal:
        return await _show_refusal(request, held, form, refusal)
    if cast is None:  # the poll was edited while the vote waited
        voter = await request.app[VOTES].load_link_voter(held.voter_pass)
        return poll_page(request, held, voter, form=form, notice=_EDITED, status=409)
    raise web.HTTPSeeOther(_after(voter, form))


async def _show_refusal(request: web.Request, held: HeldPass, form: Form, refusal: Exception) -> web.Response:
    """Return the page with what is wrong with a vote. Raise the refusal for a client that prefers JSON."""
    if not prefers(request, HTML, JSON):
        raise refusal
    voter = await request.app[VOTES].load_link_voter(held.voter_pass)
    if isinstance(refusal, InvalidBallot):
        errors = {str(violation.path[0]): violation.reason for violation in reversed(refusal.violations)}
        if "optionIds" in errors:
            errors["optionIds"] = "Choose only one option." if form.has("option") else "Choose an option."
        return poll_page(request, held, voter, form=form, errors=errors, status=422)
    if voter.has_voted and isinstance(refusal, LinkFull | AddressLimitReached):  # by the same form, sent twice
        raise web.HTTPSeeOther(_after(voter, form))
    return poll_page(request, held, voter, form=form, notice=_REFUSALS[type(refusal)], status=409)


async def ask_to_withdraw(request: web.Request) -> web.StreamResponse:
    """Return the page that asks whether to withdraw the ballot."""
    held = require_pass(request)
    voter = await request.app[VOTES].load_link_voter(held.voter_pass)
    if not voter.has_voted or voter.state.is_closed:
        raise web.HTTPSeeOther(voting_path(held.voter_pass.link_id))
    query = query_of(request)
    return page(
        request,
        "withdraw.html",
        policy=policy_of(request),
        path=voting_path(held.voter_pass.link_id),
        poll=voter.state.poll.spec,
        view=read_view(query.optional("results"), query.optional("sort")),
        form_token_name=FORM_TOKEN,
        form_token=form_token(held.cookie),
    )


async def withdraw(request: web.Request) -> web.StreamResponse:
    """Withdraw the ballot, and lead to the page."""
    held, form = await _read_vote(request)
    voter = await request.app[VOTES].load_link_voter(held.voter_pass)
    try:
        await request.app[VOTES].withdraw_by_link(voter)
    except PollClosed:
        if not prefers(request, HTML, JSON):
            raise
        voter = await request.app[VOTES].load_link_voter(held.voter_pass)
        return poll_page(request, held, voter, notice=_CLOSED_TO_WITHDRAWAL, status=409)
    except UnknownBallot:  # it was withdrawn before, as by the same form sent twice
        pass
    path = _after(voter, form)
    raise web.HTTPSeeOther(f"{path}{'&' if '?' in path else '?'}done=withdrawn")


async def _read_vote(request: web.Request) -> tuple[HeldPass, Form]:
    """Return the pass and the form, if a page of the link has sent it. Raise `ForgedForm` or `LinkEnded`."""
    require_same_origin(request, request.app[SETTINGS].resource_url)
    held = require_pass(request)
    form = await read_form(request)
    require_form_token(form, held.cookie)
    return held, form


def _after(voter: Voter, form: Form) -> str:
    view = read_view(form.text("results"), form.text("sort"))
    path = voting_path(voter.link.id) if voter.link else ""
    return f"{path}?{view.query}" if view else path


_EDITED: Final = "The poll was edited in the meantime, so your vote was not counted. Check your choice, and vote again."
_CLOSED_TO_WITHDRAWAL: Final = "The poll has closed, so your vote can no longer be withdrawn."
_REFUSALS: Final[Mapping[type[Exception], str]] = {
    PollClosed: "The poll has closed, so your vote was not counted.",
    AlreadyVoted: "You have voted before, and this poll does not let you change your vote.",
    LinkFull: "Your vote was not counted: this link has reached its limit of participants.",
    AddressLimitReached: "Your vote was not counted: this link has reached its limit of participants for your network. "
    "Vote from another network, or ask for a personal link.",
}
