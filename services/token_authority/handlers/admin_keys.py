"""`/v1/admin-keys`: who manages the authority."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, DATABASE
from services.token_authority.domain.errors import UnknownAdminKey
from services.token_authority.handlers.access import administrator_of
from services.token_authority.operations import admin_keys as operations
from services.token_authority.payloads.admin_keys import (
    AdminKeyPage,
    AdminKeyPayload,
    MadeAdminKeyPayload,
    MakeAdminKey,
)
from services.token_authority.payloads.tokens import RotateSecret
from services.token_authority.storage import admin_keys
from shared.runtime.http.body import JSON, read_json, read_json_if_any, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

UNKNOWN: Final = {404: "No admin key has this id."}


@endpoint(
    summary="Make an admin key",
    description="Its secret, `key`, is shown in this answer alone.",
    tags=("admin keys",),
    body=MakeAdminKey,
    responses={201: Response(description="The admin key.", body=MadeAdminKeyPayload)},
)
async def make_admin_key(request: web.Request) -> web.Response:
    """201 with the admin key and, this once, its secret."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), MakeAdminKey)
    _, by = administrator_of(request)
    now = datetime.now(UTC)
    key = body.to_admin_key(by, now)
    minted = await operations.make_admin_key(request.app[DATABASE], key, by, now)
    return json_response(MadeAdminKeyPayload.of_made(key, minted), status=201)


@endpoint(
    summary="List admin keys",
    tags=("admin keys",),
    responses={200: Response(description="Every admin key by name, revoked ones too.", body=AdminKeyPage)},
)
async def list_admin_keys(request: web.Request) -> web.Response:
    """200 with every admin key."""
    found = await admin_keys.select_admin_keys(request.app[DATABASE])
    return json_response(AdminKeyPage([AdminKeyPayload.of(key) for key in found]))


@endpoint(
    summary="Show the admin key that you use",
    tags=("admin keys",),
    responses={200: Response(description="The admin key.", body=AdminKeyPayload)},
)
async def show_own_admin_key(request: web.Request) -> web.Response:
    """200 with the caller's own."""
    return json_response(AdminKeyPayload.of(request[ADMIN_KEY]))


@endpoint(
    summary="Rotate an admin key",
    description="A new secret for the same admin key, shown in this answer alone.",
    tags=("admin keys",),
    body=RotateSecret,
    body_required=False,
    responses={200: Response(description="The admin key with its new secret.", body=MadeAdminKeyPayload)},
    problems={**UNKNOWN, 409: "Too many of its secrets work already."},
)
async def rotate_admin_key(request: web.Request) -> web.Response:
    """200 with the admin key and, this once, its new secret."""
    body = await read_json_if_any(request, RotateSecret)
    _, by = administrator_of(request)
    key, minted = await operations.rotate_admin_key(
        request.app[DATABASE], _key_id(request), body.to_rotation(), by, datetime.now(UTC)
    )
    return json_response(MadeAdminKeyPayload.of_made(key, minted))


@endpoint(
    summary="Revoke an admin key",
    description="It works no more from the answer on. The last one in the role admin cannot be revoked.",
    tags=("admin keys",),
    responses={204: Response(description="It works no more, also where it had been revoked.")},
    problems={**UNKNOWN, 409: "It is the last one in the role admin."},
)
async def revoke_admin_key(request: web.Request) -> web.Response:
    """204, also where it was revoked before."""
    _, by = administrator_of(request)
    await operations.revoke_admin_key(request.app[DATABASE], _key_id(request), by, datetime.now(UTC))
    return web.Response(status=204)


def _key_id(request: web.Request) -> str:
    key_id = request.match_info["key_id"]
    if "\0" in key_id:
        raise UnknownAdminKey
    return key_id
