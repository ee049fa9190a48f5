"""One service: its facts and secrets; rotate, disable and enable it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE, FORM, SETTINGS
from services.token_authority.domain.errors import InvalidValue, RequestRepeated, TooManySecrets, UnknownService
from services.token_authority.domain.secret import Secret
from services.token_authority.domain.service import Service
from services.token_authority.handlers.services import client_id_of
from services.token_authority.operations import services as operations
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.form_keys import (
    FORM_KEY,
    REPEATED,
    REPEATED_NOTICE,
    form_key_of,
    new_form_key,
)
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import service_path
from services.token_authority.pages.references import names_of, reference_to
from services.token_authority.pages.rotation_form import DEFAULT, OVERLAPS, explain_too_many_secrets, read_rotation
from services.token_authority.pages.site_choice import sites_for
from services.token_authority.pages.token_form import errors_of
from services.token_authority.payloads.token_requests import RotateSecret
from services.token_authority.storage.admin_keys import select_admin_keys
from services.token_authority.storage.secrets import select_secrets
from services.token_authority.storage.services import select_service
from shared.runtime.pages.notices import lead_to, notice_of

NOTICES: Final = {
    "created": "The service was created. It may introspect tokens from now on.",
    "changed": "The service was changed.",
    "disabled": "The service was disabled. It may neither introspect nor sync until it is enabled.",
    "enabled": "The service was enabled.",
    REPEATED: REPEATED_NOTICE,
}


async def show_service(request: web.Request) -> web.Response:
    """Return the page of a service."""
    database, service = request.app[DATABASE], await find_service(request)
    names = names_of(await select_admin_keys(database))
    return page(
        request,
        "service.html",
        service=service,
        path=service_path(service.client_id),
        secrets=await _secrets_of(request, service),
        sites=await sites_for(request),
        now=datetime.now(UTC),
        notice=notice_of(request, NOTICES),
        created_by=reference_to(service.created_by, names),
        disabled_by=reference_to(service.disabled_by or "", names),
    )


async def show_rotate(request: web.Request) -> web.Response:
    """Return the form to rotate the secret of a service."""
    return await _rotate_page(request, await find_service(request), DEFAULT, new_form_key())


async def rotate_service(request: web.Request) -> web.Response:
    """Rotate the secret of a service, and show the new one once; lead to the service if the same form did that."""
    service, form, by = await find_service(request), request[FORM], administrator_of(request).actor
    path, form_key = service_path(service.client_id), form.raw(FORM_KEY)
    body = DEFAULT
    try:
        body = read_rotation(form)
        key = form_key_of(request, body)
        rotated = await operations.rotate_service(
            request.app[DATABASE], service.client_id, body.to_rotation(key), by, datetime.now(UTC)
        )
    except RequestRepeated:
        return lead_to(path, REPEATED)
    except InvalidValue as error:
        return await _rotate_page(request, service, DEFAULT, form_key, 422, errors_of(error))
    except TooManySecrets as error:
        return await _rotate_page(request, service, body, form_key, 409, explain_too_many_secrets(error))
    return page(
        request,
        "new_secret.html",
        title=f"Service {service.client_id} has a new secret",
        crumbs=_crumbs_of(service),
        label="Client secret",
        secret=rotated.minted.text,
        then=path,
        next="Open the service",
        use="",
        old_secrets_end_at=rotated.old_secrets_end_at,
    )


async def show_disable(request: web.Request) -> web.Response:
    """Return the page that asks whether to disable a service."""
    service = await find_service(request)
    lease_s = f"{request.app[SETTINGS].revocation_lease:g}"
    return page(
        request,
        "confirm_action.html",
        title=f"Disable service {service.client_id}",
        crumbs=_crumbs_of(service),
        effects=[
            "It may neither introspect nor sync until it is enabled.",
            f"Its guards answer from their caches until their leases expire, for up to {lease_s} seconds. After that "
            "they accept no token.",
            "Its secrets and its public key are kept.",
        ],
        warning="",
        refusal="",
        button="Disable service",
        busy="Disabling …",
    )


async def disable_service(request: web.Request) -> web.Response:
    """Disable a service, and lead to it."""
    return await _enable(request, enabled=False)


async def enable_service(request: web.Request) -> web.Response:
    """Enable a service, and lead to it."""
    return await _enable(request, enabled=True)


async def _enable(request: web.Request, *, enabled: bool) -> web.Response:
    by, now = administrator_of(request).actor, datetime.now(UTC)
    service = await operations.enable_service(request.app[DATABASE], client_id_of(request), by, now, enabled=enabled)
    return lead_to(service_path(service.client_id), "enabled" if enabled else "disabled")


async def find_service(request: web.Request) -> Service:
    """Return the service that the path names. Raise `UnknownService`."""
    service = await select_service(request.app[DATABASE], client_id_of(request))
    if service is None:
        raise UnknownService
    return service


def _crumbs_of(service: Service) -> list[tuple[str, str]]:
    return [("Services", paths.SERVICES), (service.client_id, service_path(service.client_id))]


async def _secrets_of(request: web.Request, service: Service) -> list[Secret]:
    return await select_secrets(request.app[DATABASE], "service", service.client_id)


async def _rotate_page(
    request: web.Request,
    service: Service,
    values: RotateSecret,
    form_key: str,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    return page(
        request,
        "rotate_secret.html",
        status=status,
        title=f"Rotate the secret of service {service.client_id}",
        crumbs=_crumbs_of(service),
        user="the service",
        warning="",
        has_secrets=bool(await _secrets_of(request, service)),
        values=values,
        overlaps=OVERLAPS,
        form_key=form_key,
        errors=errors or {},
    )
