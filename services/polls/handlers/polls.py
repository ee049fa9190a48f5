"""`/v1/polls`: list, create, show, replace, change and delete."""

from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal
from uuid import UUID, uuid4

import msgspec
from aiohttp import web
from msgspec import Meta

from services.polls.app_keys import DATABASE
from services.polls.domain.poll import PollSpec, check
from services.polls.domain.results import Status
from services.polls.domain.state import PollState
from services.polls.handlers import changing
from services.polls.handlers.asking import expanded, poll_id_of, reached_poll
from services.polls.handlers.conditions import required_by
from services.polls.handlers.once import kept_response, once_of
from services.polls.handlers.parameters import (
    CHANGED,
    ETAG,
    IN_USE,
    UNKNOWN,
    VOTES,
    Conditions,
    DropVotes,
    Expand,
    OnceOnly,
    Paging,
    PollPath,
    ReadConditions,
    forbidden,
)
from services.polls.operations.answer_once import answer_once
from services.polls.payloads import examples
from services.polls.payloads.polls import (
    CREATE_EXAMPLE,
    EXAMPLE,
    PATCH_EXAMPLE,
    CreatePoll,
    PatchPoll,
    PollPage,
    PollPayload,
    WritePoll,
    etag_of,
)
from services.polls.payloads.texts import Time
from services.polls.storage import polls
from services.polls.storage.answers import Answer as KeptAnswer
from services.polls.storage.listing import Filter, select_page
from shared.contract.scope import Action, Path
from shared.guard import caller
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.merge_patch import merge
from shared.runtime.http.preconditions import not_modified
from shared.runtime.http.problem import BadRequest, ErrorDetail
from shared.runtime.http.query import read_query
from shared.runtime.postgres.database import Transaction

MERGE_PATCH: Final = "application/merge-patch+json"
MAX_PAGE_BYTES: Final = 1024 * 1024
"""A page of longer polls has fewer: an answer is held until it is read, and a poll may have hundreds of kilobytes."""


class ListPolls(Paging, frozen=True, rename="camel"):
    """Which polls; each condition narrows."""

    workspace: (
        Annotated[str, Meta(min_length=1, description="those of this project or space", examples=["PLAT"])] | None
    ) = None
    content: (
        Annotated[
            str, Meta(min_length=1, description="those of this issue or page; needs `workspace`", examples=["PLAT-1"])
        ]
        | None
    ) = None
    container: Annotated[str, Meta(min_length=1, description="those of this macro; needs `content`")] | None = None
    status: Annotated[Status | None, Meta(description="those that are so now", examples=["open"])] = None
    updated_since: Annotated[Time | None, Meta(description="those made or edited at this time or later")] = None
    expand: Annotated[Literal["results"] | None, Meta(description="put the results into each poll")] = None


@endpoint(
    summary="List polls",
    description="Wherever the token may read, the oldest first. A page has up to `limit` polls, fewer where they are "
    "long; the last one is the one without `next`.",
    tags=("polls",),
    query=ListPolls,
    responses={200: Response(description="A page of polls.", body=PollPage, example=examples.PAGE)},
    problems={403: "The token may read nothing there."},
)
async def list_polls(request: web.Request) -> web.Response:
    """200 with a page of polls."""
    query = read_query(request, ListPolls)
    found = Filter(_reachable(request, query), query.status, query.updated_since)
    behind = None if query.cursor is None else read_cursor(query.cursor, tuple[Time, UUID])
    asking = caller(request)
    states = await select_page(request.app[DATABASE], asking.site, found, behind, query.limit + 1)
    page = _page(_payload(request, state, query.expand) for state in states[: query.limit])
    last = None if len(page) == len(states) else states[len(page) - 1].poll
    return json_response({"items": page, "next": None if last is None else write_cursor((last.created_at, last.id))})


@endpoint(
    summary="Create a poll",
    description="From a body, or from a template with what the body says in place of the template's.",
    tags=("polls",),
    headers=OnceOnly,
    body=CreatePoll,
    body_example=CREATE_EXAMPLE,
    responses={
        201: Response(
            description="The poll.",
            body=PollPayload,
            example=examples.POLL,
            headers={"Location": "Where it is.", **ETAG},
        )
    },
    problems={
        403: "The token may not create polls there.",
        **IN_USE,
        422: "The body, or the Idempotency-Key, cannot be used.",
    },
)
async def create_poll(request: web.Request) -> web.Response:
    """201 with the new poll; the same answer again to the same request under the same Idempotency-Key."""
    require_media_type(request, JSON)
    content = await request.read()
    body = read_json(content, CreatePoll)
    place = body.location.to_place()
    caller(request).require(Action.CREATE, place)
    draft, poll_id, site = check(body.to_draft()), uuid4(), caller(request).site
    once = once_of(request, content)

    async def insert(transaction: Transaction) -> KeptAnswer:
        state = await polls.insert_poll(transaction, site, place, poll_id, draft)
        headers = {"Location": f"/v1/polls/{poll_id}", "ETag": etag_of(state)}
        return KeptAnswer(201, headers, msgspec.json.encode(PollPayload.of(state)))

    return kept_response(await answer_once(request.app[DATABASE], once, insert))


@endpoint(
    summary="Show a poll",
    tags=("polls",),
    path=PollPath,
    query=Expand,
    headers=ReadConditions,
    responses={
        200: Response(description="The poll.", body=PollPayload, example=examples.POLL, headers=ETAG),
        304: Response(description="It is as `If-None-Match` says.", headers=ETAG),
    },
    problems={**UNKNOWN, **forbidden(Action.READ)},
)
async def show_poll(request: web.Request) -> web.Response:
    """200 with the poll, or 304."""
    query = read_query(request, Expand)
    state = await reached_poll(request, Action.READ)
    headers = {"ETag": etag_of(state)}
    if query.expand is None and not_modified(request, etag_of(state)):
        return web.Response(status=304, headers=headers)
    return json_response(_payload(request, state, query.expand), headers=headers)


@endpoint(
    summary="Replace a poll",
    description="Options are the same where their ids are: a renamed one keeps its votes.",
    tags=("polls",),
    path=PollPath,
    query=DropVotes,
    headers=Conditions,
    body=WritePoll,
    body_example=EXAMPLE,
    responses={
        200: Response(description="The poll as it is now.", body=PollPayload, example=examples.UNCHANGED, headers=ETAG)
    },
    problems={**UNKNOWN, **forbidden(Action.UPDATE), **VOTES, **CHANGED},
)
async def replace_poll(request: web.Request) -> web.Response:
    """200 with the poll as it is now, and what that did to votes."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), WritePoll)
    return await _edited(request, lambda state: body.to_draft(state))


@endpoint(
    summary="Change a poll",
    description="A merge patch (RFC 7396): what is left out stays, null brings a default back, a list is replaced.",
    tags=("polls",),
    path=PollPath,
    query=DropVotes,
    headers=Conditions,
    body=PatchPoll,
    media_type=(MERGE_PATCH, JSON),
    body_example=PATCH_EXAMPLE,
    responses={
        200: Response(description="The poll as it is now.", body=PollPayload, example=examples.PATCHED, headers=ETAG)
    },
    problems={**UNKNOWN, **forbidden(Action.UPDATE), **VOTES, **CHANGED},
)
async def change_poll(request: web.Request) -> web.Response:
    """200 with the poll as it is now, and what that did to votes."""
    require_media_type(request, MERGE_PATCH, JSON)
    patch = read_json(await request.read(), PatchPoll)
    return await _edited(request, lambda state: patched(state, patch))


@endpoint(
    summary="Delete a poll",
    description="With all its votes.",
    tags=("polls",),
    path=PollPath,
    headers=Conditions,
    responses={204: Response(description="It is gone.")},
    problems={**UNKNOWN, **forbidden(Action.DELETE), **CHANGED},
)
async def delete_poll(request: web.Request) -> web.Response:
    """204."""
    await changing.remove(request, poll_id_of(request), required_by(request, Action.DELETE))
    return web.Response(status=204)


def patched(state: PollState, patch: PatchPoll) -> PollSpec:
    """What the poll shall be by a merge patch. Raises `InvalidBody`, `InvalidPoll`."""
    merged = merge(msgspec.to_builtins(PollPayload.of(state)), msgspec.to_builtins(patch))
    return read_json(msgspec.json.encode(merged), WritePoll).to_draft(state)


async def _edited(request: web.Request, change: Callable[[PollState], PollSpec]) -> web.Response:
    query = read_query(request, DropVotes)
    poll_id, required = poll_id_of(request), required_by(request, Action.UPDATE)
    edited = await changing.edit(request, poll_id, change, required, drop_votes=query.drop_votes)
    payload = PollPayload.of(edited.state, effect=edited.effect)
    return json_response(payload, headers={"ETag": etag_of(edited.state)})


def _payload(request: web.Request, state: PollState, expand: str | None) -> PollPayload:
    return PollPayload.of(state, results=expanded(request, state, is_wanted=expand is not None))


def _page(payloads: Iterable[PollPayload]) -> list[msgspec.Raw]:
    """As many of the polls, as they are written, as fit; one at the least."""
    page: list[msgspec.Raw] = []
    left = MAX_PAGE_BYTES
    for payload in payloads:
        written = msgspec.json.encode(payload)
        left -= len(written)
        if page and left < 0:
            break
        page.append(msgspec.Raw(written))
    return page


def _reachable(request: web.Request, query: ListPolls) -> list[Path]:
    """The paths to look below. Raises `BadRequest`, `InsufficientScope`."""
    segments = (query.workspace, query.content, query.container)
    given = [segment for segment in segments if segment]
    if any(given[depth] != segments[depth] for depth in range(len(given))):
        error_detail = ErrorDetail(
            "give what lies above it too: content needs workspace, container needs content", parameter="workspace"
        )
        raise BadRequest("The place cannot be told.", error_detail)
    return caller(request).require_paths(Action.READ, tuple(given))
