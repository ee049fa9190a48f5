"""`/v1/polls/{id}/audit`: who has created, changed and deleted a poll."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from services.polls.app_keys import DATABASE
from services.polls.domain.errors import UnknownPoll
from services.polls.handlers.descriptions import forbidden
from services.polls.operations.authorization import require_action
from services.polls.payloads import examples
from services.polls.payloads.audit import PollAuditPage
from services.polls.payloads.parameters import Paging, PollPath
from services.polls.storage.audit import select_audit, select_audited_place
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import read_query

_Seq = Annotated[int, Meta(ge=0, le=2**53)]


@endpoint(
    summary="Read the audit trail of a poll",
    description="Which token has created, changed, closed, reopened and deleted the poll, oldest first, with the "
    "changed fields before and after. It stays after the poll is deleted. The `hash` of each record covers that of the "
    "record before, so that tampering can be detected. Ballots leave no record.",
    tags=("polls",),
    path=PollPath,
    query=Paging,
    responses={200: Response(description="A page of records.", body=PollAuditPage, example=examples.AUDIT)},
    problems={
        **forbidden(Action.UPDATE),
        404: "No poll has or had this id, or the token has no access to it.",
    },
)
async def list_poll_audit(request: web.Request) -> web.Response:
    """Return 200 with a page of records."""
    query = read_query(request, Paging)
    after = 0 if query.cursor is None else read_cursor(query.cursor, tuple[_Seq])[0]
    poll_id, database, bearer = require_path_uuid(request, "id", UnknownPoll), request.app[DATABASE], caller(request)
    place = await select_audited_place(database, bearer.site, poll_id)
    if place is None:
        raise UnknownPoll
    require_action(bearer, place, Action.UPDATE)
    found = await select_audit(database, bearer.site, poll_id, after, query.limit + 1)
    page = found[: query.limit]
    return json_response(PollAuditPage(page, write_cursor((page[-1].seq,)) if len(found) > len(page) else None))
