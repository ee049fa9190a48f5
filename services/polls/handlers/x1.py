"""`/x1/{endpoint}`: the wire contract. The method says what happens; all but the poll itself is in the query."""

import re
from collections.abc import AsyncGenerator
from typing import Annotated, Final, Literal
from uuid import UUID, uuid4

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from services.polls.app_keys import DATABASE
from services.polls.domain.poll import UnknownEndpoint, UnknownPoll, check
from services.polls.domain.state import PollState
from services.polls.handlers import changing
from services.polls.handlers.asking import expanded
from services.polls.operations.edit import Require
from services.polls.payloads import examples
from services.polls.payloads.polls import EXAMPLE
from services.polls.payloads.texts import PollId
from services.polls.payloads.x1 import ContractPoll, ContractPollBody
from services.polls.storage import polls
from shared.contract.scope import Action, Place
from shared.guard import caller
from shared.runtime.http.body import JSON, read_json
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.query import Query, query_of

Workspace = Annotated[
    str, Meta(min_length=1, description="project key in Jira, space id in Confluence", examples=["PLAT"])
]
Content = Annotated[
    str, Meta(min_length=1, description="issue key in Jira, page id in Confluence", examples=["PLAT-1"])
]
Container = Annotated[str, Meta(description="macro id in Confluence; left out in Jira")]


class Site(Struct, frozen=True):
    """Whose polls."""

    endpoint: Annotated[str, Meta(description="the site's own, issued with the token", examples=["A" * 27])]


class AtPlace(Struct, frozen=True):
    """Where. Parameters that are not known are ignored."""

    type: Literal["polls"]
    workspace: Workspace
    content: Content
    container: Container = ""


class SomeAtPlace(AtPlace, frozen=True):
    """Where, which of the polls there, and what to show with them."""

    poll_id: Annotated[PollId | UnsetType, Meta(description="this one alone")] = field(default=UNSET, name="pollId")
    expand: Annotated[Literal["results", ""] | UnsetType, Meta(description="put the results into each poll")] = UNSET


class OneAtPlace(AtPlace, frozen=True, kw_only=True):
    """Which poll, and where that is."""

    poll_id: PollId = field(name="pollId")


class EditedAtPlace(OneAtPlace, frozen=True, kw_only=True):
    """Which poll, where that is, and how the edit treats votes."""

    drop_votes: Annotated[bool, Meta(description="let it drop the votes for options that it takes away")] = field(
        default=False, name="dropVotes"
    )


PROBLEMS: Final = {
    400: "A required parameter is missing, or the body is not a valid poll.",
    415: "The body has a `Content-Encoding`. Whatever `Content-Type` says, it is read as JSON.",
    403: "The token is missing, does not work, or does not reach the place.",
    404: "No site of this token has this URL.",
}
ANY_TYPE: Final = (JSON, "*/*")
NEVER: Final = (401, 422)
MAX_LISTED: Final = 1000
"""Polls in one answer."""
MAX_LISTED_BYTES: Final = 16 * 1024 * 1024
"""How long that answer may be: a poll may be a thousand times as long as another."""
PART: Final = 100
"""Polls that are read and written at once, between which other requests have their turn."""
ONE: Final = {**PROBLEMS, 404: "No site of this token has this URL, or the poll is not at this place."}


@endpoint(
    summary="List the polls at a place",
    tags=("Team Voice contract",),
    path=Site,
    query=SomeAtPlace,
    responses={
        200: Response(
            description="All of them, the oldest first, or the one of `pollId`; that one alone, where they are more "
            "than 1000, or than 16 MiB.",
            body=list[ContractPoll],
            example=[examples.CONTRACT_POLL],
        )
    },
    problems=ONE,
    without=NEVER,
)
async def list_contract_polls(request: web.Request) -> web.Response:
    """200 with an array of the polls at the place, or of the one that `pollId` names; 404 where that is not there.

    400 where there are more than `MAX_LISTED`, or more than fit `MAX_LISTED_BYTES`.
    """
    query = query_of(request)
    place = _authorized(request, query, Action.READ)
    is_expanded = _expands(query)
    if not query.optional("pollId"):
        return json_response([poll async for poll in _all_at(request, place, is_expanded=is_expanded)])
    state = await polls.select_poll(request.app[DATABASE], caller(request).site, _read_poll_id(query))
    if state is None or state.poll.place != place:
        raise UnknownPoll
    return json_response([_shown(request, state, is_expanded=is_expanded)])


@endpoint(
    summary="Create a poll",
    tags=("Team Voice contract",),
    path=Site,
    query=AtPlace,
    body=ContractPollBody,
    media_type=ANY_TYPE,
    body_example=EXAMPLE,
    responses={200: Response(description="The poll with its id.", body=ContractPoll, example=examples.CONTRACT_POLL)},
    problems=PROBLEMS,
    without=NEVER,
)
async def create_contract_poll(request: web.Request) -> web.Response:
    """200 with the new poll and its id."""
    place = _authorized(request, query_of(request), Action.CREATE)
    draft = check(read_json(await request.read(), ContractPollBody).to_draft())
    state = await polls.insert_poll(request.app[DATABASE], caller(request).site, place, uuid4(), draft)
    return json_response(ContractPoll.of(state))


@endpoint(
    summary="Replace a poll",
    description="An edit that would take away options that have votes is refused without `dropVotes=true`.",
    tags=("Team Voice contract",),
    path=Site,
    query=EditedAtPlace,
    body=ContractPollBody,
    media_type=ANY_TYPE,
    body_example=EXAMPLE,
    responses={200: Response(description="The poll as it is now.", body=ContractPoll, example=examples.CONTRACT_POLL)},
    problems=ONE,
    without=NEVER,
)
async def replace_contract_poll(request: web.Request) -> web.Response:
    """200 with the poll as it is now; 404 where `pollId` is not at the place."""
    query = query_of(request)
    place = _authorized(request, query, Action.UPDATE, "pollId")
    drop_votes = _drops_votes(query)
    body = read_json(await request.read(), ContractPollBody)
    if body.id not in (None, query.optional("pollId")):
        error_detail = ErrorDetail("leave it out, or repeat the parameter pollId", pointer="/id")
        raise BadRequest("The poll's id in the body is not the one in the query.", error_detail)
    draft, poll_id = check(body.to_draft()), _read_poll_id(query)
    edited = await changing.edit(request, poll_id, lambda _: draft, _is_at(place), drop_votes=drop_votes)
    return json_response(ContractPoll.of(edited.state))


@endpoint(
    summary="Delete a poll",
    description="With all its votes.",
    tags=("Team Voice contract",),
    path=Site,
    query=OneAtPlace,
    responses={200: Response(description="It is gone; there is no body.")},
    problems=ONE,
    without=NEVER,
)
async def delete_contract_poll(request: web.Request) -> web.Response:
    """200 without a body; 404 where `pollId` is not at the place."""
    query = query_of(request)
    place = _authorized(request, query, Action.DELETE, "pollId")
    await changing.remove(request, _read_poll_id(query), _is_at(place))
    return web.Response()


async def _all_at(request: web.Request, place: Place, *, is_expanded: bool) -> AsyncGenerator[msgspec.Raw, None]:
    """Each poll as it is written. Raises `BadRequest` for more than one answer may have: the contract has no pages, and
    what would fill this process's memory is no answer.
    """
    database, site = request.app[DATABASE], caller(request).site
    behind, number, size, is_last = None, 0, 0, False
    while not is_last:
        states = await polls.select_polls(database, site, place, behind, PART)
        for state in states:
            written = msgspec.json.encode(_shown(request, state, is_expanded=is_expanded))
            number, size = number + 1, size + len(written)
            if number > MAX_LISTED or size > MAX_LISTED_BYTES:
                raise _too_many()
            yield msgspec.Raw(written)
            behind = (state.poll.created_at, state.poll.id)
        is_last = len(states) < PART


def _too_many() -> BadRequest:
    error_detail = ErrorDetail("name one of them, or page through them under /v1/polls", parameter="pollId")
    most = f"{MAX_LISTED} of them, or {MAX_LISTED_BYTES // 1024**2} MiB"
    return BadRequest(f"The polls at this place are too many for one answer, which holds up to {most}.", error_detail)


def _shown(request: web.Request, state: PollState, *, is_expanded: bool) -> ContractPoll:
    return ContractPoll.of(state, expanded(request, state, is_wanted=is_expanded))


def _authorized(request: web.Request, query: Query, action: Action, *also_required: str) -> Place:
    """The place that the query names, once the caller may do `action` there."""
    if request.match_info["endpoint"] != caller(request).endpoint_id:
        raise UnknownEndpoint
    _refuse_old_form(query)
    values = query.required("type", "workspace", "content", *also_required)
    if values["type"] != "polls":
        raise BadRequest("Unknown 'type'.", ErrorDetail("this is always 'polls'", parameter="type"))
    place = Place(values["workspace"], values["content"], query.optional("container"))
    caller(request).require(action, place)
    return place


_OLD_FORM: Final = {
    "issueKey": "send the project's key as 'workspace' and the issue's key as 'content'",
}


def _refuse_old_form(query: Query) -> None:
    """Raises `BadRequest` for a request from before workspace and content, which says what they are now."""
    old = [name for name in _OLD_FORM if query.all(name)]
    if old and not (query.all("workspace") and query.all("content")):
        errors = [ErrorDetail(_OLD_FORM[name], parameter=name) for name in old]
        raise BadRequest(f"This is the old form of the request: {_OLD_FORM[old[0]]}.", *errors)


def _expands(query: Query) -> bool:
    expand = query.optional("expand")
    if expand not in ("", "results"):
        raise BadRequest("Unknown 'expand'.", ErrorDetail("this is 'results' or left out", parameter="expand"))
    return expand == "results"


def _drops_votes(query: Query) -> bool:
    text = query.optional("dropVotes")
    if text not in ("true", "false") and query.all("dropVotes"):
        raise BadRequest(
            "Unknown 'dropVotes'.", ErrorDetail("this is 'true', 'false' or left out", parameter="dropVotes")
        )
    return text == "true"


def _is_at(place: Place) -> Require:
    def check_place(state: PollState) -> None:
        if state.poll.place != place:
            raise UnknownPoll

    return check_place


_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _read_poll_id(query: Query) -> UUID:
    text = query.optional("pollId")
    if not _UUID.fullmatch(text):
        raise UnknownPoll
    return UUID(text)
