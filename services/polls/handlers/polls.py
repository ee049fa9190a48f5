"""`/v1/polls`: list, create, show, replace, change and delete."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from services.polls.app_keys import DATABASE, POLL_EDITOR, POLL_READS
from services.polls.domain.edit import Patch, PollDeletion, PollEdit, Replacement
from services.polls.domain.errors import UnknownPoll
from services.polls.domain.listing import PollFilter
from services.polls.domain.state import PollState
from services.polls.handlers.actor import actor_of
from services.polls.handlers.descriptions import CHANGED, ETAG, IN_USE, UNKNOWN, VOTES, forbidden
from services.polls.handlers.idempotency import read_key, to_response
from services.polls.operations.authorization import audience_of, load_authorized_poll
from services.polls.operations.create import Creation, create_poll_once
from services.polls.payloads import examples
from services.polls.payloads.documents import encode_poll, encode_results
from services.polls.payloads.fields import Time
from services.polls.payloads.parameters import (
    CreateHeaders,
    EditHeaders,
    EditPoll,
    ListPolls,
    PollPath,
    ReadHeaders,
    ShowPoll,
)
from services.polls.payloads.polls import (
    CREATE_EXAMPLE,
    EXAMPLE,
    PATCH_EXAMPLE,
    CreatePoll,
    PatchPoll,
    PollPage,
    PollPayload,
    WritePoll,
)
from services.polls.storage.listing import select_page
from shared.contract.scope import Action, Path
from shared.guard import Caller, caller
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_bytes, json_response
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.preconditions import if_match, is_not_modified
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.query import query_time, read_query

MERGE_PATCH: Final = "application/merge-patch+json"
MAX_PAGE_BYTES: Final = 1024 * 1024
"""The limit of a page, which then has fewer polls: the process keeps a response in memory until the client reads it."""


@endpoint(
    summary="List polls",
    description="The polls that the token may read, the oldest first. A page has up to `limit` polls, fewer if they "
    "are long. The last page is the one without `next`.",
    tags=("polls",),
    query=ListPolls,
    responses={200: Response(description="A page of polls.", body=PollPage, example=examples.PAGE)},
    problems={403: "The token may not read polls there."},
)
async def list_polls(request: web.Request) -> web.Response:
    """Return 200 with a page of polls."""
    query = read_query(request, ListPolls)
    updated_since = query_time("updatedSince", query.updated_since, day="first")
    conditions = PollFilter(_readable_paths(caller(request), query), query.status, updated_since)
    after = None if query.cursor is None else read_cursor(query.cursor, tuple[Time, UUID])
    states = await select_page(request.app[DATABASE], caller(request).site, conditions, after, query.limit + 1)
    page = _fill_page(_encode(caller(request), state, query.expand) for state in states[: query.limit])
    last = None if len(page) == len(states) else states[len(page) - 1].poll
    return json_response({"items": page, "next": None if last is None else write_cursor((last.created_at, last.id))})


@endpoint(
    summary="Create a poll",
    description="From the body alone, or from a template, whose fields the body can replace.",
    tags=("polls",),
    headers=CreateHeaders,
    body=CreatePoll,
    body_example=CREATE_EXAMPLE,
    responses={
        201: Response(
            description="The poll.",
            body=PollPayload,
            example=examples.POLL,
            headers={"Location": "The path of the poll.", **ETAG},
        )
    },
    problems={
        403: "The token may not create polls there.",
        **IN_USE,
        422: "The body is invalid, or the Idempotency-Key was used with another request.",
    },
)
async def create_poll(request: web.Request) -> web.Response:
    """Return 201 with the new poll. A repeated request with the same Idempotency-Key gets the same response."""
    require_media_type(request, JSON)
    content = await request.read()
    new = read_json(content, CreatePoll).to_new_poll()
    caller(request).require(Action.CREATE, new.place)
    creation = Creation(caller(request).site, new.place, new.to_spec(), actor_of(request))
    key = read_key(request, content)
    return to_response(await create_poll_once(request.app[DATABASE], request.app[POLL_READS], creation, key))


@endpoint(
    summary="Show a poll",
    tags=("polls",),
    path=PollPath,
    query=ShowPoll,
    headers=ReadHeaders,
    responses={
        200: Response(description="The poll.", body=PollPayload, example=examples.POLL, headers=ETAG),
        304: Response(description="The poll still has the ETag that `If-None-Match` names.", headers=ETAG),
    },
    problems={**UNKNOWN, **forbidden(Action.READ)},
)
async def show_poll(request: web.Request) -> web.Response:
    """Return 200 with the poll, or 304."""
    query = read_query(request, ShowPoll)
    state = await load_authorized_poll(
        request.app[POLL_READS], caller(request), require_path_uuid(request, "id", UnknownPoll), Action.READ
    )
    etag = state.etag
    headers: Mapping[str, str] = {hdrs.ETAG: etag}
    if query.expand is None and is_not_modified(request, etag):
        return web.Response(status=304, headers=headers)
    return json_bytes(_encode(caller(request), state, query.expand), headers=headers)


@endpoint(
    summary="Replace a poll",
    description="Options with the same id are the same: one with a new title keeps its votes.",
    tags=("polls",),
    path=PollPath,
    query=EditPoll,
    headers=EditHeaders,
    body=WritePoll,
    body_example=EXAMPLE,
    responses={
        200: Response(
            description="The poll after the edit.", body=PollPayload, example=examples.UNCHANGED, headers=ETAG
        )
    },
    problems={**UNKNOWN, **forbidden(Action.UPDATE), **VOTES, **CHANGED},
)
async def replace_poll(request: web.Request) -> web.Response:
    """Return 200 with the poll after the edit, and what the edit did to votes."""
    require_media_type(request, JSON)
    return await _edit(request, read_json(await request.read(), WritePoll).to_replacement())


@endpoint(
    summary="Change a poll",
    description="A JSON merge patch (RFC 7396): fields that are left out stay, null restores a default, a list is "
    "replaced.",
    tags=("polls",),
    path=PollPath,
    query=EditPoll,
    headers=EditHeaders,
    body=PatchPoll,
    media_type=(MERGE_PATCH, JSON),
    body_example=PATCH_EXAMPLE,
    responses={
        200: Response(description="The poll after the edit.", body=PollPayload, example=examples.PATCHED, headers=ETAG)
    },
    problems={**UNKNOWN, **forbidden(Action.UPDATE), **VOTES, **CHANGED},
)
async def change_poll(request: web.Request) -> web.Response:
    """Return 200 with the poll after the edit, and what the edit did to votes."""
    require_media_type(request, MERGE_PATCH, JSON)
    return await _edit(request, read_json(await request.read(), PatchPoll).to_patch())


@endpoint(
    summary="Delete a poll",
    description="With all its votes.",
    tags=("polls",),
    path=PollPath,
    headers=EditHeaders,
    responses={204: Response(description="The poll is deleted.")},
    problems={**UNKNOWN, **forbidden(Action.DELETE), **CHANGED},
)
async def delete_poll(request: web.Request) -> web.Response:
    """Return 204."""
    deletion = PollDeletion(poll_id=require_path_uuid(request, "id", UnknownPoll), expected=if_match(request))
    await request.app[POLL_EDITOR].delete(caller(request), deletion, actor_of(request))
    return web.Response(status=204)


async def _edit(request: web.Request, content: Replacement | Patch) -> web.Response:
    query = read_query(request, EditPoll)
    poll_id, expected = require_path_uuid(request, "id", UnknownPoll), if_match(request)
    edit = PollEdit(poll_id=poll_id, content=content, expected=expected, allowed=query.to_allowed())
    edited = await request.app[POLL_EDITOR].edit(caller(request), edit, actor_of(request))
    payload = PollPayload.of(edited.state, effect=edited.effect)
    return json_response(payload, headers={"ETag": edited.state.etag})


def _encode(bearer: Caller, state: PollState, expand: str | None) -> bytes:
    if expand is None:
        return encode_poll(state)
    return encode_poll(state, encode_results(state, audience_of(bearer, state.poll.place)))


def _fill_page(documents: Iterable[bytes]) -> list[msgspec.Raw]:
    """Return as many of the encoded polls as fit into `MAX_PAGE_BYTES`, and at least one."""
    page: list[msgspec.Raw] = []
    bytes_left = MAX_PAGE_BYTES
    for document in documents:
        bytes_left -= len(document)
        if page and bytes_left < 0:
            break
        page.append(msgspec.Raw(document))
    return page


def _readable_paths(bearer: Caller, query: ListPolls) -> list[Path]:
    """Return the paths below which polls are listed. Raise `BadRequest` or `InsufficientScope`."""
    segments = (query.workspace, query.content, query.container)
    given = [segment for segment in segments if segment]
    if any(given[depth] != segments[depth] for depth in range(len(given))):
        needs = "add the segments above it: content needs workspace, and container needs content"
        raise BadRequest("The place is incomplete.", ErrorDetail(needs, parameter="workspace"))
    return bearer.require_paths(Action.READ, tuple(given))
