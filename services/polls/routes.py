"""Every route of the polls service, with the action that it needs, its limits and how its errors are reported."""

from functools import partial
from typing import Final

from services.polls.handlers import (
    audit,
    batch,
    comments,
    events,
    links,
    polls,
    results,
    templates,
    tickets,
    votes,
    x1,
)
from services.polls.payloads.fields import LINK_ID, POLL_ID
from services.polls.problems import CONTRACT_PROBLEMS, PROBLEM_TYPES
from services.polls.storage.polls import ALL_BALLOTS_LIMIT_S
from shared.contract.scope import Action
from shared.guard import any_token, stream_with, token_with
from shared.guard.access import SECURITY_SCHEMES
from shared.runtime.docs import Documentation, Variable
from shared.runtime.http.routes import HANDLING_LIMIT_S, Route

MAX_BATCH_BYTES: Final = 256 * 1024
EDIT_LIMIT_S: Final = HANDLING_LIMIT_S + ALL_BALLOTS_LIMIT_S
"""The time limit of requests that may change all ballots of a poll."""

_url_token_with = partial(token_with, security=("token_in_url", "token"))
_EditRoute = partial(Route, time_limit_s=EDIT_LIMIT_S)
_ContractRoute = partial(Route, problem_table=CONTRACT_PROBLEMS)
_ContractEditRoute = partial(_ContractRoute, time_limit_s=EDIT_LIMIT_S)

ROUTES: Final = (
    Route("GET", "/v1/polls", polls.list_polls, token_with(Action.READ)),
    Route("POST", "/v1/polls", polls.create_poll, token_with(Action.CREATE)),
    _EditRoute("POST", "/v1/polls:batch", batch.change_polls, any_token(counts_items=True), body_limit=MAX_BATCH_BYTES),
    Route("GET", "/v1/polls/{id}", polls.show_poll, token_with(Action.READ)),
    _EditRoute("PUT", "/v1/polls/{id}", polls.replace_poll, token_with(Action.UPDATE)),
    _EditRoute("PATCH", "/v1/polls/{id}", polls.change_poll, token_with(Action.UPDATE)),
    _EditRoute("DELETE", "/v1/polls/{id}", polls.delete_poll, token_with(Action.DELETE)),
    Route("GET", "/v1/polls/{id}/results", results.show_results, token_with(Action.READ, Action.RESULTS)),
    Route("GET", "/v1/polls/{id}/events", events.follow_poll, stream_with(Action.READ)),
    Route("POST", "/v1/polls/{id}/events/tickets", tickets.create_ticket, token_with(Action.READ, security=("token",))),
    Route("GET", "/v1/polls/{id}/audit", audit.list_poll_audit, token_with(Action.UPDATE)),
    Route("GET", "/v1/polls/{id}/comments", comments.list_poll_comments, token_with(Action.RESULTS)),
    Route("GET", "/v1/polls/{id}/votes", votes.list_ballots, token_with(Action.RESULTS)),
    Route("PUT", "/v1/polls/{id}/votes/{participant}", votes.cast_ballot, token_with(Action.VOTE)),
    Route("GET", "/v1/polls/{id}/votes/{participant}", votes.show_ballot, token_with(Action.VOTE)),
    Route("DELETE", "/v1/polls/{id}/votes/{participant}", votes.withdraw_ballot, token_with(Action.VOTE)),
    Route("GET", "/v1/polls/{id}/links", links.list_links, token_with(Action.VOTE)),
    Route("POST", "/v1/polls/{id}/links", links.create_link, token_with(Action.VOTE)),
    Route(
        "POST", "/v1/polls/{id}/links:batch", links.create_links, token_with(Action.VOTE), body_limit=MAX_BATCH_BYTES
    ),
    Route("DELETE", "/v1/polls/{id}/links", links.revoke_links, token_with(Action.VOTE)),
    Route("GET", "/v1/polls/{id}/links/{link}", links.show_link, token_with(Action.VOTE)),
    Route("DELETE", "/v1/polls/{id}/links/{link}", links.revoke_link, token_with(Action.VOTE)),
    Route("GET", "/v1/templates", templates.list_templates, any_token()),
    _ContractRoute("GET", "/x1/{endpoint}", x1.list_contract_polls, _url_token_with(Action.READ)),
    _ContractRoute("POST", "/x1/{endpoint}", x1.create_contract_poll, _url_token_with(Action.CREATE)),
    _ContractEditRoute("PUT", "/x1/{endpoint}", x1.replace_contract_poll, _url_token_with(Action.UPDATE)),
    _ContractEditRoute("DELETE", "/x1/{endpoint}", x1.delete_contract_poll, _url_token_with(Action.DELETE)),
)
"""`any_token`: each item of a batch is authorized by itself, and the templates are the same for every token."""

INFO: Final = {
    "title": "Pollgate polls",
    "version": "1",
    "description": "Polls on Jira issues and Confluence pages, under scoped access tokens: `/v1` for new integrations, "
    "`/x1` for those that speak the Team Voice contract.",
}
VARIABLES: Final = (
    Variable(name="POLLGATE_TOKEN", meaning="an access token, `pgt_…`", schemes=("token", "token_in_url")),
    Variable(name="POLL_ID", meaning="the id of a poll; creating or listing polls shows ids", value=POLL_ID),
    Variable(name="LINK_ID", meaning="the id of a voting link; creating or listing links shows ids", value=LINK_ID),
    Variable(
        name="ENDPOINT",
        meaning="the URL that `pollgate up` prints, for `/x1`: each site has its own",
        path="/x1/{endpoint}",
    ),
)
DOCUMENTATION: Final = Documentation(INFO, ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES, VARIABLES)
"""Rendered at the first request for it, once per process."""
