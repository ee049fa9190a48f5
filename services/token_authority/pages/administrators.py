"""Administrators: the list of admin keys, and one of them with its secrets."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE, SESSION
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.errors import UnknownAdminKey
from services.token_authority.handlers.admin_keys import key_id_of
from services.token_authority.pages.form_keys import REPEATED, REPEATED_NOTICE
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import administrator_path
from services.token_authority.pages.references import names_of, reference_to
from services.token_authority.pages.site_choice import sites_for
from services.token_authority.storage.admin_keys import select_admin_key, select_admin_keys
from services.token_authority.storage.secrets import select_secrets
from shared.runtime.pages.notices import notice_of

NOTICES: Final = {
    "changed": "The admin key was changed.",
    "revoked": "The admin key was revoked. It no longer works, and its sessions are over.",
    REPEATED: REPEATED_NOTICE,
}


async def show_administrators(request: web.Request) -> web.Response:
    """Return the list, with the revoked ones."""
    keys = await select_admin_keys(request.app[DATABASE])
    names = names_of(keys)
    return page(
        request,
        "administrators.html",
        keys=keys,
        own_id=own_key_id(request),
        created_by={key.id: reference_to(key.created_by, names) for key in keys},
        sites=await sites_for(request),
    )


async def show_administrator(request: web.Request) -> web.Response:
    """Return the page of an admin key."""
    database, key = request.app[DATABASE], await find_admin_key(request)
    names = names_of(await select_admin_keys(database))
    return page(
        request,
        "administrator.html",
        key=key,
        path=administrator_path(key.id),
        own_id=own_key_id(request),
        secrets=await select_secrets(database, "admin_key", key.id),
        sites=await sites_for(request),
        now=datetime.now(UTC),
        notice=notice_of(request, NOTICES),
        created_by=reference_to(key.created_by, names),
        revoked_by=reference_to(key.revoked_by or "", names),
    )


async def find_admin_key(request: web.Request) -> AdminKey:
    """Return the admin key that the path names, also if it is revoked. Raise `UnknownAdminKey`."""
    key = await select_admin_key(request.app[DATABASE], key_id_of(request))
    if key is None:
        raise UnknownAdminKey
    return key


def own_key_id(request: web.Request) -> str:
    """Return the id of the admin key of the session; empty for a person."""
    session = request[SESSION]
    return session.actor_id if session.actor_kind == "admin_key" else ""
