"""`/x1/{endpoint}`: the Team Voice contract. The method selects the action, and the query the place and the poll."""

from typing import Final, TypeVar
from uuid import UUID

from aiohttp import web

from services.polls.app_keys import DATABASE, POLL_EDITOR, POLL_READS
from services.polls.domain.edit import PollDeletion, PollEdit, Replacement
from services.polls.domain.errors import UnknownEndpoint, UnknownPoll
from services.polls.domain.poll import validate
from services.polls.domain.state import PollState
from services.polls.handlers.actor import actor_of
from services.polls.operations.authorization import audience_of
from services.polls.operations.create import Creation, create_poll
from services.polls.payloads import examples
from services.polls.payloads.documents import encode_contract_poll, encode_results
from services.polls.payloads.polls import EXAMPLE
from services.polls.payloads.x1 import (
    ContractPoll,
    ContractPollBody,
    Deleted,
    EditQuery,
    EndpointPath,
    ListQuery,
    PlaceQuery,
    PollQuery,
)
from services.polls.storage.poll_reads import POLLS_PER_PAGE
from services.polls.storage.polls import PageKey
from shared.contract.scope import Action, Place
from shared.guard import Caller, caller
from shared.runtime.http.body import JSON, read_json
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_bytes, json_response
from shared.runtime.http.path import read_uuid
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.query import query_of, read_query

Q = TypeVar("Q", bound=PlaceQuery)

PROBLEMS: Final = {
    400: "A required parameter is missing, or the body is not a valid poll.",
    403: "The token is missing, does not work, or may not do this at the place.",
    404: "The endpoint is not that of the token's site.",
    415: "The body has a `Content-Encoding`. It is read as JSON, whatever its `Content-Type` is.",
}
POLL_PROBLEMS: Final = {
    **PROBLEMS,
    404: "The endpoint is not that of the token's site, or the poll is not at the place.",
}
ANY_TYPE: Final = (JSON, "*/*")
NEVER: Final = (401, 422)
MAX_LISTED: Final = 1000
MAX_LISTED_BYTES: Final = 16 * 1024 * 1024
"""The limits of a list. The contract has no pages, and a longer list would fill the memory of this process."""


@endpoint(
    summary="List the polls at a place",
    tags=("Team Voice contract",),
    path=EndpointPath,
    query=ListQuery,
    responses={
        200: Response(
            description="All polls at the place, the oldest first, or only the one of `pollId`. A list of more than "
            "1000 polls or 16 MiB is refused with 400.",
            body=list[ContractPoll],
            example=[examples.CONTRACT_POLL],
        )
    },
    problems=POLL_PROBLEMS,
    without=NEVER,
)
async def list_contract_polls(request: web.Request) -> web.Response:
    """Return 200 with an array of the polls at the place, or of the one that `pollId` names."""
    query = _read_authorized_query(request, ListQuery, Action.READ)
    place, bearer = query.to_place(), caller(request)
    if not query.poll_id:
        return json_bytes(b"[%b]" % b",".join(await _encode_all_at(request, place, query.expand)))
    state = await request.app[POLL_READS].select_poll(bearer.site, _to_poll_id(query.poll_id))
    if state is None or state.poll.place != place:
        raise UnknownPoll
    return json_bytes(b"[%b]" % _encode(bearer, state, query.expand))


@endpoint(
    summary="Create a poll",
    tags=("Team Voice contract",),
    path=EndpointPath,
    query=PlaceQuery,
    body=ContractPollBody,
    media_type=ANY_TYPE,
    body_example=EXAMPLE,
    responses={200: Response(description="The poll with its id.", body=ContractPoll, example=examples.CONTRACT_POLL)},
    problems=PROBLEMS,
    without=NEVER,
)
async def create_contract_poll(request: web.Request) -> web.Response:
    """Return 200 with the new poll and its id."""
    place = _read_authorized_query(request, PlaceQuery, Action.CREATE).to_place()
    spec = validate(read_json(await request.read(), ContractPollBody).to_spec())
    creation = Creation(caller(request).site, place, spec, actor_of(request))
    return json_bytes(encode_contract_poll(await create_poll(request.app[DATABASE], request.app[POLL_READS], creation)))


@endpoint(
    summary="Replace a poll",
    description="An edit that would remove options with votes, or break another promise to participants who have "
    "voted, is refused unless `allow` names its consequences.",
    tags=("Team Voice contract",),
    path=EndpointPath,
    query=EditQuery,
    body=ContractPollBody,
    media_type=ANY_TYPE,
    body_example=EXAMPLE,
    responses={
        200: Response(description="The poll after the edit.", body=ContractPoll, example=examples.CONTRACT_POLL)
    },
    problems=POLL_PROBLEMS,
    without=NEVER,
)
async def replace_contract_poll(request: web.Request) -> web.Response:
    """Return 200 with the poll after the edit. Raise `UnknownPoll` if it is not at the place."""
    query = _read_authorized_query(request, EditQuery, Action.UPDATE)
    body = read_json(await request.read(), ContractPollBody)
    if body.id is not None and body.id.lower() != query.poll_id.lower():
        error = ErrorDetail("leave it out, or repeat the parameter pollId", pointer="/id")
        raise BadRequest("The poll's id in the body is not the one in the query.", error)
    edit = PollEdit(
        content=Replacement(body.to_spec()),
        poll_id=_to_poll_id(query.poll_id),
        place=query.to_place(),
        allowed=query.to_allowed(),
    )
    edited = await request.app[POLL_EDITOR].edit(caller(request), edit, actor_of(request))
    return json_bytes(encode_contract_poll(edited.state))


@endpoint(
    summary="Delete a poll",
    description="With all its votes.",
    tags=("Team Voice contract",),
    path=EndpointPath,
    query=PollQuery,
    responses={200: Response(description="The poll is deleted.", body=Deleted, example={})},
    problems=POLL_PROBLEMS,
    without=NEVER,
)
async def delete_contract_poll(request: web.Request) -> web.Response:
    """Return 200 with an empty object. Raise `UnknownPoll` if the poll is not at the place."""
    query = _read_authorized_query(request, PollQuery, Action.DELETE)
    deletion = PollDeletion(poll_id=_to_poll_id(query.poll_id), place=query.to_place())
    await request.app[POLL_EDITOR].delete(caller(request), deletion, actor_of(request))
    return json_response(Deleted())


def _read_authorized_query(request: web.Request, kind: type[Q], action: Action) -> Q:
    """Return the query, if the caller may do the action at its place.

    Raise `UnknownEndpoint`, `BadRequest` or `InsufficientScope`.
    """
    bearer = caller(request)
    if request.match_info["endpoint"] != bearer.endpoint_id:
        raise UnknownEndpoint
    _refuse_old_form(request)
    query = read_query(request, kind, allow_unknown=True)
    bearer.require(action, query.to_place())
    return query


def _refuse_old_form(request: web.Request) -> None:
    """Raise `BadRequest` for a request from before the contract had workspace and content."""
    query = query_of(request)
    if query.all("issueKey") and not (query.all("workspace") and query.all("content")):
        remedy = "send the project's key as 'workspace' and the issue's key as 'content'"
        raise BadRequest(f"This is the old form of the request: {remedy}.", ErrorDetail(remedy, parameter="issueKey"))


async def _encode_all_at(request: web.Request, place: Place, expand: str | None) -> list[bytes]:
    """Return each poll at the place, encoded. Raise `BadRequest` if they exceed the limits of a list."""
    reads, bearer = request.app[POLL_READS], caller(request)
    encoded: list[bytes] = []
    page, size, is_last = PageKey(bearer.site, place), 0, False
    while not is_last:
        states = await reads.select_page(page)
        for state in states:
            document = _encode(bearer, state, expand)
            encoded.append(document)
            size += len(document)
            if len(encoded) > MAX_LISTED or size > MAX_LISTED_BYTES:
                raise _too_many_polls()
        is_last = len(states) < POLLS_PER_PAGE
        if not is_last:
            last = states[-1].poll
            page = PageKey(bearer.site, place, (last.created_at, last.id))
    return encoded


def _too_many_polls() -> BadRequest:
    error = ErrorDetail("name one poll, or page through the polls under /v1/polls", parameter="pollId")
    limit = f"{MAX_LISTED} polls or {MAX_LISTED_BYTES // 1024**2} MiB"
    return BadRequest(f"There are too many polls at this place for one response, which holds up to {limit}.", error)


def _encode(bearer: Caller, state: PollState, expand: str | None) -> bytes:
    if not expand:
        return encode_contract_poll(state)
    return encode_contract_poll(state, encode_results(state, audience_of(bearer, state.poll.place)))


def _to_poll_id(text: str) -> UUID:
    poll_id = read_uuid(text)
    if poll_id is None:
        raise UnknownPoll
    return poll_id
