"""`/v1/services`: who may introspect."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE
from services.token_authority.domain.errors import UnknownService
from services.token_authority.handlers.access import administrator_of
from services.token_authority.operations import services as operations
from services.token_authority.payloads.services import (
    ChangeService,
    MadeServicePayload,
    MakeService,
    ServiceDetailPayload,
    ServicePage,
    ServicePayload,
)
from services.token_authority.payloads.tokens import RotateSecret
from services.token_authority.storage import secrets, services
from shared.runtime.http.body import JSON, read_json, read_json_if_any, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

UNKNOWN: Final = {404: "No service has this client id."}


@endpoint(
    summary="Make a service",
    description="It may introspect from the answer on. Its secret, if it has one, is shown in this answer alone.",
    tags=("services",),
    body=MakeService,
    responses={201: Response(description="The service.", body=MadeServicePayload)},
    problems={409: "There is a service of this client id."},
)
async def make_service(request: web.Request) -> web.Response:
    """201 with the service and, this once, its secret."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), MakeService)
    _, by = administrator_of(request)
    now = datetime.now(UTC)
    service = body.to_service(by, now)
    minted = await operations.make_service(request.app[DATABASE], service, by, now)
    return json_response(MadeServicePayload.of_made(service, minted), status=201)


@endpoint(
    summary="List services",
    tags=("services",),
    responses={200: Response(description="Every service by client id, disabled ones too.", body=ServicePage)},
)
async def list_services(request: web.Request) -> web.Response:
    """200 with every service."""
    found = await services.select_services(request.app[DATABASE])
    return json_response(ServicePage([ServicePayload.of(service) for service in found]))


@endpoint(
    summary="Show a service",
    tags=("services",),
    responses={200: Response(description="The service, with what is kept of its secrets.", body=ServiceDetailPayload)},
    problems=UNKNOWN,
)
async def show_service(request: web.Request) -> web.Response:
    """200 with the service and its secrets by what is kept of them."""
    database, client_id = request.app[DATABASE], _client_id(request)
    service = await services.select_service(database, client_id)
    if service is None:
        raise UnknownService
    known = await secrets.select_secrets(database, "service", client_id)
    return json_response(ServiceDetailPayload.of_detail(service, known, datetime.now(UTC)))


@endpoint(
    summary="Change a service",
    description="Which sites it sees, its name, and its public key.",
    tags=("services",),
    body=ChangeService,
    responses={200: Response(description="The service as it is now.", body=ServicePayload)},
    problems=UNKNOWN,
)
async def change_service(request: web.Request) -> web.Response:
    """200 with the service as it is now."""
    require_media_type(request, JSON)
    values = read_json(await request.read(), ChangeService).to_values()
    _, by = administrator_of(request)
    changed = await operations.change_service(request.app[DATABASE], _client_id(request), values, by)
    return json_response(ServicePayload.of(changed))


@endpoint(
    summary="Rotate a service's secret",
    description="A new secret, shown in this answer alone; the old one works on for `overlap_s`.",
    tags=("services",),
    body=RotateSecret,
    body_required=False,
    responses={200: Response(description="The service with its new secret.", body=MadeServicePayload)},
    problems={**UNKNOWN, 409: "Too many of its secrets work already."},
)
async def rotate_service(request: web.Request) -> web.Response:
    """200 with the service and, this once, its new secret."""
    body = await read_json_if_any(request, RotateSecret)
    _, by = administrator_of(request)
    service, minted = await operations.rotate_service(
        request.app[DATABASE], _client_id(request), body.to_rotation(), by, datetime.now(UTC)
    )
    return json_response(MadeServicePayload.of_made(service, minted))


@endpoint(
    summary="Disable a service",
    description="It may neither introspect nor sync until it is enabled. Its guards go on for as long as their leases.",
    tags=("services",),
    responses={200: Response(description="The service as it is now.", body=ServicePayload)},
    problems=UNKNOWN,
)
async def disable_service(request: web.Request) -> web.Response:
    """200 with the service as it is now, also where it was disabled before."""
    return await _enabled(request, enabled=False)


@endpoint(
    summary="Enable a disabled service",
    tags=("services",),
    responses={200: Response(description="The service as it is now.", body=ServicePayload)},
    problems=UNKNOWN,
)
async def enable_service(request: web.Request) -> web.Response:
    """200 with the service as it is now, also where it was not disabled."""
    return await _enabled(request, enabled=True)


async def _enabled(request: web.Request, *, enabled: bool) -> web.Response:
    _, by = administrator_of(request)
    changed = await operations.enable_service(
        request.app[DATABASE], _client_id(request), by, datetime.now(UTC), enabled=enabled
    )
    return json_response(ServicePayload.of(changed))


def _client_id(request: web.Request) -> str:
    client_id = request.match_info["client_id"]
    if "\0" in client_id:
        raise UnknownService
    return client_id
