"""Every route of the polls service. The guard stands before them all; each handler asks for the scope it needs."""

import re
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from services.polls.handlers import batch, events, polls, results, templates, votes, x1
from services.polls.problems import FACES, KINDS
from shared.guard.problems import GUARDED
from shared.runtime.docs import Documentation, add_docs
from shared.runtime.docs.openapi import Endpoint, Row, Schema, openapi_document


class Route(NamedTuple):
    """One route; whoever has no token that works gets nowhere."""

    method: str
    path: str
    endpoint: Endpoint


ROUTES: Final = (
    Route("GET", "/v1/polls", polls.list_polls),
    Route("POST", "/v1/polls", polls.create_poll),
    Route("POST", "/v1/polls:batch", batch.change_polls),
    Route("GET", "/v1/polls/{id}", polls.show_poll),
    Route("PUT", "/v1/polls/{id}", polls.replace_poll),
    Route("PATCH", "/v1/polls/{id}", polls.change_poll),
    Route("DELETE", "/v1/polls/{id}", polls.delete_poll),
    Route("GET", "/v1/polls/{id}/results", results.show_results),
    Route("GET", "/v1/polls/{id}/events", events.follow_poll),
    Route("GET", "/v1/polls/{id}/votes", votes.list_ballots),
    Route("PUT", "/v1/polls/{id}/votes/{participant}", votes.cast_ballot),
    Route("GET", "/v1/polls/{id}/votes/{participant}", votes.show_ballot),
    Route("DELETE", "/v1/polls/{id}/votes/{participant}", votes.withdraw_ballot),
    Route("GET", "/v1/templates", templates.list_templates),
    Route("GET", "/x1/{endpoint}", x1.list_contract_polls),
    Route("POST", "/x1/{endpoint}", x1.create_contract_poll),
    Route("PUT", "/x1/{endpoint}", x1.replace_contract_poll),
    Route("DELETE", "/x1/{endpoint}", x1.delete_contract_poll),
)

INFO: Final = {
    "title": "Pollgate polls",
    "version": "1",
    "description": "Polls on Jira issues and Confluence pages, under scoped access tokens: `/v1` for new integrations, "
    "`/x1` for those that speak the Team Voice contract.",
}
SECURITY_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "An access token, pgt_…"},
    "token_in_url": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The same, where a token may be in a URL",
    },
}


_ANY_SEGMENT: Final = re.compile(r"\{(\w+)\}")
"""Also one with braces in it, which a plain `{name}` of aiohttp's does not match."""


def add_routes(app: web.Application) -> None:
    """Mount every route, and the pages that describe them."""
    for route in ROUTES:
        app.router.add_route(route.method, _ANY_SEGMENT.sub(r"{\1:[^/]+}", route.path), route.endpoint.handler)
    add_docs(app, DOCUMENTATION)


def _describe() -> Schema:
    return openapi_document(INFO, [_row(route) for route in ROUTES], SECURITY_SCHEMES)


def _row(route: Route) -> Row:
    operation = route.endpoint.operation
    told = msgspec.structs.replace(operation, problems={**GUARDED, **operation.problems})
    return Row(route.method, route.path, route.endpoint.name, told, _WAYS_OF[route.path in FACES])


_WAYS_OF: Final = {False: ("token", "token_in_url"), True: ("token_in_url", "token")}
"""In which ways a token may be sent, whether by the contract or not; the usual one first."""


DOCUMENTATION: Final = Documentation(_describe, KINDS)
"""Made at the first request for it, once per process."""
