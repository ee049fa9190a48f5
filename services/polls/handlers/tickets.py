"""`/v1/polls/{id}/events/tickets`: tickets with which a browser's EventSource opens the stream of a poll's events."""

from typing import Final

from aiohttp import web

from services.polls.app_keys import POLL_READS
from services.polls.domain.errors import UnknownPoll
from services.polls.handlers.descriptions import UNKNOWN, forbidden
from services.polls.operations.authorization import load_authorized_poll
from services.polls.payloads import examples
from services.polls.payloads.parameters import PollPath
from services.polls.payloads.tickets import StreamTicket
from shared.contract.scope import Action
from shared.guard import TICKET_LIFE_S, caller, issue_ticket
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import require_path_uuid

EXAMPLE: Final = StreamTicket(examples.TICKET, TICKET_LIFE_S)


@endpoint(
    summary="Get a ticket for the events of a poll",
    description="For an `EventSource`, which cannot send a header: it opens the stream with `?ticket=…` in place of "
    f"the token. The ticket works once, within {TICKET_LIFE_S} seconds, for this poll. The stream has the permissions "
    "of the token, and ends with it. Each reconnect needs a new ticket. The token must be sent in the header.",
    tags=("results",),
    path=PollPath,
    responses={201: Response(description="A new ticket.", body=StreamTicket, example=EXAMPLE)},
    problems={
        **UNKNOWN,
        **forbidden(Action.READ),
        503: "Tickets cannot be stored at the moment, or a dependency does not respond; see `Retry-After`.",
    },
)
async def create_ticket(request: web.Request) -> web.Response:
    """Return 201 with a ticket."""
    poll_id = require_path_uuid(request, "id", UnknownPoll)
    await load_authorized_poll(request.app[POLL_READS], caller(request), poll_id, Action.READ)
    ticket = await issue_ticket(request, f"/v1/polls/{poll_id}/events")
    return json_response(StreamTicket(ticket, TICKET_LIFE_S), status=201)
