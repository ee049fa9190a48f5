"""Create an admin key, or edit one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Self

import msgspec
from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import DATABASE, FORM
from services.token_authority.domain.admin_key import AdminKey, NewAdminKey
from services.token_authority.domain.admin_key_change import AdminKeyChange
from services.token_authority.domain.administrator import Role
from services.token_authority.domain.errors import InvalidValue, LastAdministrator, RequestRepeated, Widening
from services.token_authority.operations import admin_keys as operations
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.administrators import find_admin_key, own_key_id
from services.token_authority.pages.form_keys import FORM_KEY, REPEATED, form_key_of, new_form_key
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import administrator_path
from services.token_authority.pages.site_choice import SiteChoice, sites_for
from services.token_authority.pages.token_form import errors_of
from services.token_authority.payloads.admin_keys import CreateAdminKey
from shared.runtime.pages.forms import Form
from shared.runtime.pages.notices import lead_to

ROLES: Final = (
    ("admin", "Admin", "May do everything, without limits."),
    ("issuer", "Issuer", "Issues, changes and revokes tokens within the limits below. Needs a limit."),
    (
        "auditor",
        "Auditor",
        "Reads, and changes nothing. Without limits, also the audit log, services and administrators.",
    ),
)


LAST: Final = "This is the last admin key in the role admin. Create another admin first."


class AdministratorFields(Struct, frozen=True):
    """The fields of the form as they were typed. `scopes` has one on each line."""

    name: str = ""
    role: str = ""
    sites: SiteChoice = SiteChoice()
    scopes: str = ""

    @classmethod
    def read(cls, form: Form) -> Self:
        """Return the fields of a form."""
        return cls(form.text("name"), form.text("role"), SiteChoice.read(form), form.text("scopes"))

    @classmethod
    def of(cls, key: AdminKey) -> Self:
        """Return the fields of an admin key."""
        return cls(key.name, key.role, SiteChoice.of(key.sites), "\n".join(map(str, key.scopes or ())))

    def to_body(self) -> CreateAdminKey:
        """Return the fields of a new admin key. Raise `InvalidValue`."""
        try:
            role = msgspec.convert(self.role, Role)
        except msgspec.ValidationError:
            raise InvalidValue(("role",), "choose a role") from None
        scopes = [line.strip() for line in self.scopes.splitlines() if line.strip()]
        return CreateAdminKey(self.name, role, self.sites.to_ids(), scopes or None)

    def to_change(self) -> AdminKeyChange:
        """Return the new values for an admin key. Raise `InvalidValue`."""
        body = self.to_body()
        return AdminKeyChange(name=body.name, role=body.role, sites=body.sites, scopes=body.scopes)


async def show_new_administrator(request: web.Request) -> web.Response:
    """Return the form for a new admin key."""
    return await _form_page(request, AdministratorFields(), new_form_key())


async def create_administrator(request: web.Request) -> web.Response:
    """Create an admin key, and show its secret once; lead to the admin key if the same form created it before."""
    form, by, now = request[FORM], administrator_of(request).actor, datetime.now(UTC)
    fields = AdministratorFields.read(form)
    try:
        body = fields.to_body()
        key = form_key_of(request, body)
        created = await operations.create_admin_key(request.app[DATABASE], body.to_admin_key(by, now), by, now, key)
    except RequestRepeated as repeated:
        return lead_to(administrator_path(repeated.holder_id), REPEATED)
    except InvalidValue as error:
        return await _form_page(request, fields, form.raw(FORM_KEY), 422, errors_of(error))
    return _created_page(request, created)


async def show_edit(request: web.Request) -> web.Response:
    """Return the form to edit an admin key."""
    key = await find_admin_key(request)
    if key.revoked_at is not None:
        raise web.HTTPSeeOther(administrator_path(key.id))
    return await _form_page(request, AdministratorFields.of(key), key=key)


async def edit_administrator(request: web.Request) -> web.Response:
    """Change an admin key, and lead to it."""
    key, by = await find_admin_key(request), administrator_of(request).actor
    fields = AdministratorFields.read(request[FORM])
    try:
        await operations.change_admin_key(request.app[DATABASE], key.id, fields.to_change(), by)
    except (InvalidValue, Widening) as error:
        return await _form_page(request, fields, status=422, errors=errors_of(error), key=key)
    except LastAdministrator:
        return await _form_page(request, fields, status=409, errors={"role": LAST}, key=key)
    return lead_to(administrator_path(key.id), "changed")


def _created_page(request: web.Request, created: NewAdminKey) -> web.Response:
    return page(
        request,
        "new_secret.html",
        status=201,
        title=f"Administrator {created.key.name} was created",
        crumbs=[("Administrators", paths.ADMINISTRATORS)],
        label="Admin key",
        secret=created.minted.text,
        then=administrator_path(created.key.id),
        next="Open the administrator",
        use="Hand it over on a channel that others cannot read. It opens these pages, and authorizes programs as "
        "`POLLGATE_ADMIN_KEY`.",
        old_secrets_end_at=None,
    )


async def _form_page(
    request: web.Request,
    fields: AdministratorFields,
    form_key: str = "",
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    key: AdminKey | None = None,
) -> web.Response:
    root = ("Administrators", paths.ADMINISTRATORS)
    return page(
        request,
        "administrator_form.html",
        status=status,
        fields=fields,
        form_key=form_key,
        key=key,
        crumbs=[root, (key.name, administrator_path(key.id))] if key else [root],
        is_own=key is not None and key.id == own_key_id(request),
        roles=ROLES,
        sites=await sites_for(request),
        errors=errors or {},
    )
