"""`/v1/services`: create, list, change, rotate, disable and enable services."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE
from services.token_authority.domain.errors import UnknownService
from services.token_authority.handlers.access import administrator_of
from services.token_authority.handlers.idempotency import IN_USE, REUSED, key_of
from services.token_authority.operations import services as operations
from services.token_authority.payloads.idempotency import IdempotencyHeaders
from services.token_authority.payloads.services import (
    ChangeService,
    CreateService,
    NewServicePayload,
    RotatedServicePayload,
    ServiceDetailPayload,
    ServicePage,
    ServicePayload,
)
from services.token_authority.payloads.token_requests import RotateSecret
from services.token_authority.storage import secrets, services
from shared.runtime.http.body import JSON, read_json, read_json_if_any, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

UNKNOWN: Final = {404: "Unknown client id."}


@endpoint(
    summary="Create a service",
    description="The service may introspect from now on. Its secret, if it has one, is shown only in this response.",
    tags=("services",),
    headers=IdempotencyHeaders,
    body=CreateService,
    responses={201: Response(description="The service.", body=NewServicePayload)},
    problems={409: f"A service with this client id already exists, or {IN_USE}.", **REUSED},
)
async def create_service(request: web.Request) -> web.Response:
    """Return 201 with the service and its secret."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), CreateService)
    by, now = administrator_of(request), datetime.now(UTC)
    key = key_of(request, by.actor, body)
    created = await operations.create_service(request.app[DATABASE], body.to_request(), by.actor, now, key)
    return json_response(NewServicePayload.of_new(*created), status=201)


@endpoint(
    summary="List services",
    tags=("services",),
    responses={200: Response(description="Every service by client id, including disabled ones.", body=ServicePage)},
)
async def list_services(request: web.Request) -> web.Response:
    """Return 200 with every service."""
    found = await services.select_services(request.app[DATABASE])
    return json_response(ServicePage([ServicePayload.of(service) for service in found]))


@endpoint(
    summary="Show a service",
    tags=("services",),
    responses={200: Response(description="The service with its secrets.", body=ServiceDetailPayload)},
    problems=UNKNOWN,
)
async def show_service(request: web.Request) -> web.Response:
    """Return 200 with the service and its secrets, without their texts."""
    database, client_id = request.app[DATABASE], client_id_of(request)
    service = await services.select_service(database, client_id)
    if service is None:
        raise UnknownService
    found = await secrets.select_secrets(database, "service", client_id)
    return json_response(ServiceDetailPayload.of_detail(service, found, datetime.now(UTC)))


@endpoint(
    summary="Change a service",
    description="Changes its name, the sites that it sees, and its public key.",
    tags=("services",),
    body=ChangeService,
    body_example={"name": "Reports"},
    responses={200: Response(description="The changed service.", body=ServicePayload)},
    problems=UNKNOWN,
)
async def change_service(request: web.Request) -> web.Response:
    """Return 200 with the changed service."""
    require_media_type(request, JSON)
    requested = read_json(await request.read(), ChangeService).to_change()
    by = administrator_of(request).actor
    changed = await operations.change_service(request.app[DATABASE], client_id_of(request), requested, by)
    return json_response(ServicePayload.of(changed))


@endpoint(
    summary="Rotate a service's secret",
    description="Creates a new secret, which is shown only in this response. The old one works for `overlap_s` more "
    "seconds or, with `end_on_use`, until the new one is used.",
    tags=("services",),
    headers=IdempotencyHeaders,
    body=RotateSecret,
    body_required=False,
    responses={200: Response(description="The service with its new secret.", body=RotatedServicePayload)},
    problems={**UNKNOWN, 409: f"The service has too many valid secrets, or {IN_USE}.", **REUSED},
)
async def rotate_service(request: web.Request) -> web.Response:
    """Return 200 with the service and its new secret."""
    body = await read_json_if_any(request, RotateSecret)
    by = administrator_of(request)
    rotation = body.to_rotation(key_of(request, by.actor, body))
    rotated = await operations.rotate_service(
        request.app[DATABASE], client_id_of(request), rotation, by.actor, datetime.now(UTC)
    )
    return json_response(RotatedServicePayload.of_rotated(rotated))


@endpoint(
    summary="Disable a service",
    description="The service may neither introspect nor sync until it is enabled. Its guards answer from their caches "
    "until their leases expire.",
    tags=("services",),
    responses={200: Response(description="The changed service.", body=ServicePayload)},
    problems=UNKNOWN,
)
async def disable_service(request: web.Request) -> web.Response:
    """Return 200 with the service, also if it was disabled before."""
    return await _enable(request, enabled=False)


@endpoint(
    summary="Enable a disabled service",
    tags=("services",),
    responses={200: Response(description="The changed service.", body=ServicePayload)},
    problems=UNKNOWN,
)
async def enable_service(request: web.Request) -> web.Response:
    """Return 200 with the service, also if it was not disabled."""
    return await _enable(request, enabled=True)


async def _enable(request: web.Request, *, enabled: bool) -> web.Response:
    by = administrator_of(request).actor
    changed = await operations.enable_service(
        request.app[DATABASE], client_id_of(request), by, datetime.now(UTC), enabled=enabled
    )
    return json_response(ServicePayload.of(changed))


def client_id_of(request: web.Request) -> str:
    """Return the client id in the path. Raise `UnknownService` if it cannot be one."""
    client_id = request.match_info["client_id"]
    if "\0" in client_id:
        raise UnknownService
    return client_id
