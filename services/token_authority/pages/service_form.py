"""Create a service, or edit one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Self

from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import DATABASE, FORM
from services.token_authority.domain.errors import InvalidValue, NameTaken, RequestRepeated
from services.token_authority.domain.service import NewService, Service, ServiceChange
from services.token_authority.operations import services as operations
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.form_keys import FORM_KEY, REPEATED, form_key_of, new_form_key
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import service_path
from services.token_authority.pages.service import find_service
from services.token_authority.pages.site_choice import SiteChoice, sites_for
from services.token_authority.pages.token_form import errors_of
from services.token_authority.payloads.services import CreateService
from shared.runtime.pages.forms import Form
from shared.runtime.pages.notices import lead_to

SECRET: Final = "secret"  # noqa: S105 - a choice
PUBLIC_KEY: Final = "public_key"


class ServiceFields(Struct, frozen=True):
    """The fields of the form as they were typed."""

    client_id: str = ""
    name: str = ""
    sites: SiteChoice = SiteChoice()
    method: str = SECRET
    public_key: str = ""

    @classmethod
    def read(cls, form: Form) -> Self:
        """Return the fields of a form."""
        method = PUBLIC_KEY if form.text("method") == PUBLIC_KEY else SECRET
        return cls(form.text("client_id"), form.text("name"), SiteChoice.read(form), method, form.text("public_key"))

    @classmethod
    def of(cls, service: Service) -> Self:
        """Return the fields of a service."""
        return cls(service.client_id, service.name, SiteChoice.of(service.sites), public_key=service.public_key or "")

    def to_new(self) -> CreateService:
        """Return the fields of a new service. Raise `InvalidValue`."""
        public_key = self.public_key if self.method == PUBLIC_KEY else None
        return CreateService(self.client_id, self.name, self.sites.to_ids(), public_key)

    def to_change(self) -> ServiceChange:
        """Return the new values for a service. Raise `InvalidValue`."""
        return ServiceChange(name=self.name, sites=self.sites.to_ids(), public_key=self.public_key or None)


async def show_new_service(request: web.Request) -> web.Response:
    """Return the form for a new service."""
    return await _new_page(request, ServiceFields(), new_form_key())


async def create_service(request: web.Request) -> web.Response:
    """Create a service, and show its secret once; lead to the service if it has none, or exists by the same form."""
    form, by = request[FORM], administrator_of(request).actor
    fields = ServiceFields.read(form)
    try:
        body = fields.to_new()
        key = form_key_of(request, body)
        created = await operations.create_service(request.app[DATABASE], body.to_request(), by, datetime.now(UTC), key)
    except RequestRepeated as repeated:
        return lead_to(service_path(repeated.holder_id), REPEATED)
    except InvalidValue as error:
        return await _new_page(request, fields, form.raw(FORM_KEY), 422, errors_of(error))
    except NameTaken as error:
        return await _new_page(request, fields, form.raw(FORM_KEY), 409, {"client_id": str(error)})
    return _created_page(request, created)


def _created_page(request: web.Request, created: NewService) -> web.Response:
    service, minted = created
    path = service_path(service.client_id)
    if minted is None:
        return lead_to(path, "created")
    return page(
        request,
        "new_secret.html",
        status=201,
        title=f"Service {service.client_id} was created",
        crumbs=[("Services", paths.SERVICES)],
        label="Client secret",
        secret=minted.text,
        then=path,
        next="Open the service",
        use=f"It may introspect tokens from now on, by HTTP Basic with the client id `{service.client_id}` and this "
        "secret.",
        old_secrets_end_at=None,
    )


async def show_edit(request: web.Request) -> web.Response:
    """Return the form to edit a service."""
    service = await find_service(request)
    return await _edit_page(request, service, ServiceFields.of(service))


async def edit_service(request: web.Request) -> web.Response:
    """Change a service, and lead to it."""
    service, by = await find_service(request), administrator_of(request).actor
    fields = ServiceFields.read(request[FORM])
    try:
        await operations.change_service(request.app[DATABASE], service.client_id, fields.to_change(), by)
    except InvalidValue as error:
        return await _edit_page(request, service, fields, 422, errors_of(error))
    return lead_to(service_path(service.client_id), "changed")


async def _new_page(
    request: web.Request,
    fields: ServiceFields,
    form_key: str,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    return page(
        request,
        "service_new.html",
        status=status,
        fields=fields,
        form_key=form_key,
        sites=await sites_for(request),
        errors=errors or {},
    )


async def _edit_page(
    request: web.Request,
    service: Service,
    fields: ServiceFields,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    return page(
        request,
        "service_edit.html",
        status=status,
        service=service,
        path=service_path(service.client_id),
        fields=fields,
        sites=await sites_for(request),
        errors=errors or {},
    )
