"""`/x1/{endpoint}`: the wire contract. The method says what happens; all but the poll itself is in the query."""

import re
from typing import Final
from uuid import UUID, uuid4

from aiohttp import web

from services.polls.app_keys import DATABASE
from services.polls.domain.poll import Draft, Poll, UnknownEndpoint, UnknownPoll, check
from services.polls.payloads import PollBody, PollPayload
from services.polls.storage import polls
from shared.contract.scope import Action, Place
from shared.guard import caller
from shared.runtime.body import read_json
from shared.runtime.json_response import json_response
from shared.runtime.problem import BadRequest, Fault
from shared.runtime.query import Query, query_of


async def list_polls(request: web.Request) -> web.Response:
    """200 with an array of the polls at the place, or of the one that `pollId` names; 404 where that is not there."""
    query = query_of(request)
    place = _authorized(request, query, Action.READ)
    if query.optional("expand"):
        raise BadRequest("Unknown 'expand'.", Fault("this release has nothing to expand", parameter="expand"))
    database, site = request.app[DATABASE], caller(request).site
    if not query.optional("pollId"):
        found = await polls.select_polls(database, site, place)
    else:
        poll = await polls.select_poll(database, site, place, _read_poll_id(query))
        if poll is None:
            raise UnknownPoll
        found = [poll]
    return json_response([PollPayload.of(poll) for poll in found])


async def create_poll(request: web.Request) -> web.Response:
    """200 with the new poll and its id."""
    place = _authorized(request, query_of(request), Action.CREATE)
    draft, _ = await _read_draft(request)
    poll = Poll(id=uuid4(), draft=draft)
    await polls.insert_poll(request.app[DATABASE], caller(request).site, place, poll)
    return json_response(PollPayload.of(poll))


async def replace_poll(request: web.Request) -> web.Response:
    """200 with the poll as it is now; 404 where `pollId` is not at the place."""
    query = query_of(request)
    place = _authorized(request, query, Action.UPDATE, "pollId")
    draft, body_id = await _read_draft(request)
    if body_id not in (None, query.optional("pollId")):
        fault = Fault("leave it out, or repeat the parameter pollId", pointer="/id")
        raise BadRequest("The poll's id in the body is not the one in the query.", fault)
    poll = Poll(id=_read_poll_id(query), draft=draft)
    if not await polls.update_poll(request.app[DATABASE], caller(request).site, place, poll):
        raise UnknownPoll
    return json_response(PollPayload.of(poll))


async def delete_poll(request: web.Request) -> web.Response:
    """200 without a body; 404 where `pollId` is not at the place."""
    query = query_of(request)
    place = _authorized(request, query, Action.DELETE, "pollId")
    if not await polls.delete_poll(request.app[DATABASE], caller(request).site, place, _read_poll_id(query)):
        raise UnknownPoll
    return web.Response()


def _authorized(request: web.Request, query: Query, action: Action, *also_required: str) -> Place:
    """The place that the query names, once the caller may do `action` there."""
    if request.match_info["endpoint"] != caller(request).endpoint_id:
        raise UnknownEndpoint
    values = query.required("type", "workspace", "content", *also_required)
    if values["type"] != "polls":
        raise BadRequest("Unknown 'type'.", Fault("this is always 'polls'", parameter="type"))
    place = Place(values["workspace"], values["content"], query.optional("container"))
    caller(request).require(action, place)
    return place


async def _read_draft(request: web.Request) -> tuple[Draft, str | None]:
    body = read_json(await request.read(), PollBody)
    return check(body.to_draft()), body.id


_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _read_poll_id(query: Query) -> UUID:
    text = query.optional("pollId")
    if not _UUID.fullmatch(text):
        raise UnknownPoll
    return UUID(text)
