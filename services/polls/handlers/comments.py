"""`/v1/polls/{id}/comments`: the comments of a poll, without the participants and choices they belong to."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from services.polls.app_keys import DATABASE, POLL_READS
from services.polls.domain.errors import UnknownPoll
from services.polls.handlers.descriptions import UNKNOWN, forbidden
from services.polls.operations.authorization import load_authorized_poll
from services.polls.payloads import examples
from services.polls.payloads.ballots import CommentPage, CommentPayload
from services.polls.payloads.parameters import Paging, PollPath
from services.polls.storage.comments import FIRST, list_comments
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import read_query

_Position = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


@endpoint(
    summary="List comments",
    description="The comments of all ballots, without participants and choices, in an order that does not depend on "
    "when they were written. Equal comments are counted.",
    tags=("votes",),
    path=PollPath,
    query=Paging,
    responses={200: Response(description="A page of comments.", body=CommentPage, example=examples.COMMENTS)},
    problems={**UNKNOWN, **forbidden(Action.RESULTS)},
)
async def list_poll_comments(request: web.Request) -> web.Response:
    """Return 200 with a page of comments."""
    query = read_query(request, Paging)
    first = FIRST if query.cursor is None else read_cursor(query.cursor, tuple[_Position])[0]
    poll_id, database = require_path_uuid(request, "id", UnknownPoll), request.app[DATABASE]
    await load_authorized_poll(request.app[POLL_READS], caller(request), poll_id, Action.RESULTS)
    found = await list_comments(database, poll_id, first, query.limit + 1)
    page = found[: query.limit]
    items = [CommentPayload(comment.text, comment.ballots) for comment in page]
    return json_response(CommentPage(items, write_cursor((found[-1].position,)) if len(found) > len(page) else None))
