"""`/v1/polls/{id}/links`: create, list, show and revoke voting links."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from aiohttp import web

from services.polls.app_keys import SETTINGS, VOTING_LINKS
from services.polls.domain.errors import UnknownLink, UnknownPoll
from services.polls.domain.link import MAX_LINKS_PER_POLL, MAX_SHARED_LINKS_PER_DAY
from services.polls.handlers.actor import actor_of
from services.polls.handlers.csv_format import CSV, wants_csv
from services.polls.handlers.descriptions import UNKNOWN, forbidden
from services.polls.handlers.participants import query_participant
from services.polls.operations.links import CreatedLink
from services.polls.payloads import links as payloads
from services.polls.payloads.fields import Time
from services.polls.payloads.links import (
    CreateLink,
    CreateLinks,
    CreateLinksQuery,
    LinkConditions,
    LinkPage,
    LinkPayload,
    ListLinks,
    NewLinkPayload,
    NewLinks,
    RevokedLinks,
)
from services.polls.payloads.parameters import LinkPath, PollPath
from shared.contract.scope import Action
from shared.guard import caller
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.csv_table import csv_table
from shared.runtime.http.cursor import read_cursor, write_cursor
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.path import require_path_uuid
from shared.runtime.http.query import read_query
from shared.runtime.text.times import format_rfc3339

COLUMNS: Final = ("participant", "name", "url", "id", "expires at")
CSV_EXAMPLE: Final = (
    '"participant","name","url","id","expires at"\r\n'
    f'"ada","Ada Lovelace","https://polls.example.com/p/pgl_…","{payloads.EXAMPLE.id}","2036-12-24T23:59:59.999999Z"\r\n'
)
_UNKNOWN_LINK: Final = {404: "No poll has this id, the token has no access to it, or it has no such link."}
_INVALID: Final = {422: "The body is not a valid link; `errors` says which field, and why."}
_MOST_ACTIVE: Final = f"A poll has at most {MAX_LINKS_PER_POLL:,} active voting links"
_TOO_MANY: Final = {409: f"{_MOST_ACTIVE}, and gets at most {MAX_SHARED_LINKS_PER_DAY} shared ones within a day."}
_TOO_MANY_PERSONAL: Final = {409: f"{_MOST_ACTIVE}."}


@endpoint(
    summary="Create a voting link",
    description="People vote by it on a page, without a token. The response is the only one that has its address.",
    tags=("links",),
    path=PollPath,
    body=CreateLink,
    body_example=payloads.CREATE_EXAMPLE,
    responses={
        201: Response(
            description="The link.",
            body=NewLinkPayload,
            example=payloads.NEW_EXAMPLE,
            headers={"Location": "The path of the link."},
        )
    },
    problems={**UNKNOWN, **forbidden(Action.VOTE), **_INVALID, **_TOO_MANY},
)
async def create_link(request: web.Request) -> web.Response:
    """Return 201 with the new link and its address."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), CreateLink)
    poll_id, links = require_path_uuid(request, "id", UnknownPoll), request.app[VOTING_LINKS]
    expires_at, sharing = payloads.read_expiry(body.expires_at), body.to_sharing()
    if sharing is None:
        (created,) = await links.invite(caller(request), poll_id, [body.to_invitation()], expires_at)
    else:
        created = await links.share(caller(request), poll_id, sharing, expires_at, actor_of(request))
    headers = {"Location": f"/v1/polls/{poll_id}/links/{created.link.id}"}
    return json_response(created_payload(request, created), status=201, headers=headers)


@endpoint(
    summary="Create personal voting links",
    description="One for each participant, all or none. With `format=csv` or `Accept: text/csv`, the response is a "
    "table for a mail merge. A participant who has several links has one ballot.",
    tags=("links",),
    path=PollPath,
    query=CreateLinksQuery,
    body=CreateLinks,
    body_example=payloads.BATCH_EXAMPLE,
    responses={
        201: Response(
            description="The links, in the order of the participants.",
            body=NewLinks,
            example=payloads.NEW_LINKS_EXAMPLE,
            alternatives={CSV: CSV_EXAMPLE},
        )
    },
    problems={**UNKNOWN, **forbidden(Action.VOTE), **_INVALID, **_TOO_MANY_PERSONAL},
)
async def create_links(request: web.Request) -> web.Response:
    """Return 201 with the new links and their addresses."""
    require_media_type(request, JSON)
    query = read_query(request, CreateLinksQuery)
    is_csv = wants_csv(request, query.format, with_bom=query.bom)
    body = read_json(await request.read(), CreateLinks)
    poll_id, expires_at = require_path_uuid(request, "id", UnknownPoll), payloads.read_expiry(body.expires_at)
    created = await request.app[VOTING_LINKS].invite(caller(request), poll_id, body.to_invitations(), expires_at)
    headers = {"Vary": "Accept"}
    if is_csv:
        return csv_of_links(request, poll_id, created, status=201, with_bom=query.bom, headers=headers)
    return json_response(NewLinks([created_payload(request, each) for each in created]), status=201, headers=headers)


@endpoint(
    summary="List voting links",
    description="Without their addresses, the oldest first, also those that have ended.",
    tags=("links",),
    path=PollPath,
    query=ListLinks,
    responses={200: Response(description="A page of links.", body=LinkPage, example=payloads.PAGE_EXAMPLE)},
    problems={**UNKNOWN, **forbidden(Action.VOTE)},
)
async def list_links(request: web.Request) -> web.Response:
    """Return 200 with a page of links."""
    query = read_query(request, ListLinks)
    after = None if query.cursor is None else read_cursor(query.cursor, tuple[Time, UUID])
    conditions = payloads.filter_of(query, _participant(query))
    page = await request.app[VOTING_LINKS].list(
        caller(request), require_path_uuid(request, "id", UnknownPoll), conditions, after, query.limit
    )
    last = page.items[-1][0] if page.has_more else None
    cursor = None if last is None else write_cursor((last.created_at, last.id))
    return json_response(LinkPage([LinkPayload.of(link, at) for link, at in page.items], cursor))


@endpoint(
    summary="Show a voting link",
    tags=("links",),
    path=LinkPath,
    responses={200: Response(description="The link.", body=LinkPayload, example=payloads.EXAMPLE)},
    problems={**forbidden(Action.VOTE), **_UNKNOWN_LINK},
)
async def show_link(request: web.Request) -> web.Response:
    """Return 200 with the link."""
    link, at = await request.app[VOTING_LINKS].load(caller(request), *_ids(request))
    return json_response(LinkPayload.of(link, at))


@endpoint(
    summary="Revoke a voting link",
    description="From the response on, the link opens no page and no vote by it is stored. Ballots that were cast by "
    "it stay. A repetition has the same response.",
    tags=("links",),
    path=LinkPath,
    responses={204: Response(description="The link is revoked.")},
    problems={**forbidden(Action.VOTE), **_UNKNOWN_LINK},
)
async def revoke_link(request: web.Request) -> web.Response:
    """Return 204."""
    poll_id, link_id = _ids(request)
    await request.app[VOTING_LINKS].revoke(caller(request), poll_id, link_id, actor_of(request))
    return web.Response(status=204)


@endpoint(
    summary="Revoke voting links",
    description="All links of the poll that meet the conditions; without a condition, every link.",
    tags=("links",),
    path=PollPath,
    query=LinkConditions,
    responses={
        200: Response(description="The links are revoked.", body=RevokedLinks, example=payloads.REVOKED_EXAMPLE)
    },
    problems={**UNKNOWN, **forbidden(Action.VOTE)},
)
async def revoke_links(request: web.Request) -> web.Response:
    """Return 200 with the number of links that were revoked."""
    query = read_query(request, LinkConditions)
    poll_id, conditions = require_path_uuid(request, "id", UnknownPoll), payloads.filter_of(query, _participant(query))
    revoked = await request.app[VOTING_LINKS].revoke_all(caller(request), poll_id, conditions, actor_of(request))
    return json_response(RevokedLinks(revoked))


def csv_of_links(
    request: web.Request,
    poll_id: UUID,
    links: Sequence[CreatedLink],
    *,
    with_bom: bool,
    status: int = 200,
    headers: Mapping[str, str] = {},
) -> web.Response:
    """Return the response with new links as CSV."""
    table = links_table([created_payload(request, each) for each in links], with_bom=with_bom)
    named = {"Content-Disposition": f'attachment; filename="links-{poll_id}.csv"', **headers}
    return web.Response(status=status, body=table, content_type=CSV, charset="utf-8", headers=named)


def links_table(links: list[NewLinkPayload], *, with_bom: bool) -> bytes:
    """Return new links as CSV."""
    rows = [
        (each.participant, each.name, each.url, each.id, format_rfc3339(each.expires_at) if each.expires_at else None)
        for each in links
    ]
    return csv_table(COLUMNS, rows, with_bom=with_bom)


def created_payload(request: web.Request, created: CreatedLink) -> NewLinkPayload:
    """Return the payload of a new link, with its address."""
    url = f"{request.app[SETTINGS].base_url}/p/{created.secret}"
    return NewLinkPayload.created(created.link, created.link.created_at, url, created.participant)


def _ids(request: web.Request) -> tuple[UUID, UUID]:
    return require_path_uuid(request, "id", UnknownPoll), require_path_uuid(request, "link", UnknownLink)


def _participant(query: LinkConditions) -> str | None:
    return None if query.participant is None else query_participant(query.participant)
