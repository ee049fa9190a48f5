"""`/v1/admin-keys`: create, list, change, rotate and revoke admin keys."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, DATABASE
from services.token_authority.domain.errors import UnknownAdminKey
from services.token_authority.handlers.access import administrator_of
from services.token_authority.handlers.idempotency import IN_USE, REUSED, key_of
from services.token_authority.operations import admin_keys as operations
from services.token_authority.payloads.admin_keys import (
    AdminKeyPage,
    AdminKeyPayload,
    ChangeAdminKey,
    CreateAdminKey,
    NewAdminKeyPayload,
    RotatedAdminKeyPayload,
)
from services.token_authority.payloads.idempotency import IdempotencyHeaders
from services.token_authority.payloads.token_requests import RotateSecret
from services.token_authority.storage import admin_keys
from shared.runtime.http.body import JSON, read_json, read_json_if_any, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

UNKNOWN: Final = {404: "Unknown admin key id."}


@endpoint(
    summary="Create an admin key",
    description="Its secret, `key`, is shown only in this response.",
    tags=("admin keys",),
    headers=IdempotencyHeaders,
    body=CreateAdminKey,
    responses={201: Response(description="The admin key.", body=NewAdminKeyPayload)},
    problems={409: f"A repetition: {IN_USE}.", **REUSED},
)
async def create_admin_key(request: web.Request) -> web.Response:
    """Return 201 with the admin key and its secret."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), CreateAdminKey)
    by, now = administrator_of(request), datetime.now(UTC)
    idempotency_key, key = key_of(request, by.actor, body), body.to_admin_key(by.actor, now)
    created = await operations.create_admin_key(request.app[DATABASE], key, by.actor, now, idempotency_key)
    return json_response(NewAdminKeyPayload.of_new(*created), status=201)


@endpoint(
    summary="List admin keys",
    tags=("admin keys",),
    responses={200: Response(description="Every admin key by name, including revoked ones.", body=AdminKeyPage)},
)
async def list_admin_keys(request: web.Request) -> web.Response:
    """Return 200 with every admin key."""
    found = await admin_keys.select_admin_keys(request.app[DATABASE])
    return json_response(AdminKeyPage([AdminKeyPayload.of(key) for key in found]))


@endpoint(
    summary="Show the admin key of the request",
    tags=("admin keys",),
    responses={200: Response(description="The admin key.", body=AdminKeyPayload)},
)
async def show_own_admin_key(request: web.Request) -> web.Response:
    """Return 200 with the admin key that authenticated the request."""
    return json_response(AdminKeyPayload.of(request[ADMIN_KEY]))


@endpoint(
    summary="Change an admin key",
    description="The name may change freely. Rights can only be reduced: from admin to issuer or auditor, from issuer "
    "to auditor, and to some of the sites and narrower scopes. The change is effective with the next request of the "
    "admin key. To allow more, create a new one.",
    tags=("admin keys",),
    body=ChangeAdminKey,
    body_example={"name": "Team payments"},
    responses={200: Response(description="The changed admin key.", body=AdminKeyPayload)},
    problems={**UNKNOWN, 409: "It is the last admin key in the role admin."},
)
async def change_admin_key(request: web.Request) -> web.Response:
    """Return 200 with the changed admin key; 422 if the change would allow it more."""
    require_media_type(request, JSON)
    requested = read_json(await request.read(), ChangeAdminKey).to_change()
    by = administrator_of(request).actor
    changed = await operations.change_admin_key(request.app[DATABASE], key_id_of(request), requested, by)
    return json_response(AdminKeyPayload.of(changed))


@endpoint(
    summary="Rotate an admin key",
    description="Creates a new secret for the admin key, which is shown only in this response. The old one works for "
    "`overlap_s` more seconds or, with `end_on_use`, until the new one is used.",
    tags=("admin keys",),
    headers=IdempotencyHeaders,
    body=RotateSecret,
    body_required=False,
    responses={200: Response(description="The admin key with its new secret.", body=RotatedAdminKeyPayload)},
    problems={**UNKNOWN, 409: f"The admin key has too many valid secrets, or {IN_USE}.", **REUSED},
)
async def rotate_admin_key(request: web.Request) -> web.Response:
    """Return 200 with the admin key and its new secret."""
    body = await read_json_if_any(request, RotateSecret)
    by = administrator_of(request)
    rotation = body.to_rotation(key_of(request, by.actor, body))
    rotated = await operations.rotate_admin_key(
        request.app[DATABASE], key_id_of(request), rotation, by.actor, datetime.now(UTC)
    )
    return json_response(RotatedAdminKeyPayload.of_rotated(rotated))


@endpoint(
    summary="Revoke an admin key",
    description="The admin key does not work after this response. The last one in the role admin cannot be revoked.",
    tags=("admin keys",),
    responses={204: Response(description="The admin key is revoked, now or before.")},
    problems={**UNKNOWN, 409: "It is the last admin key in the role admin."},
)
async def revoke_admin_key(request: web.Request) -> web.Response:
    """Return 204, also if it was revoked before."""
    by = administrator_of(request).actor
    await operations.revoke_admin_key(request.app[DATABASE], key_id_of(request), by, datetime.now(UTC))
    return web.Response(status=204)


def key_id_of(request: web.Request) -> str:
    """Return the id of an admin key in the path. Raise `UnknownAdminKey` if it cannot be one."""
    key_id = request.match_info["key_id"]
    if "\0" in key_id:
        raise UnknownAdminKey
    return key_id
