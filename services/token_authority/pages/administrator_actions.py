"""Rotate or revoke an admin key, which may be that of the session."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE, FORM, SESSION_COOKIE
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.errors import InvalidValue, LastAdministrator, RequestRepeated, TooManySecrets
from services.token_authority.operations import admin_keys as operations
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.administrators import find_admin_key, own_key_id
from services.token_authority.pages.form_keys import FORM_KEY, REPEATED, form_key_of, new_form_key
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import administrator_path
from services.token_authority.pages.rotation_form import DEFAULT, OVERLAPS, explain_too_many_secrets, read_rotation
from services.token_authority.pages.token_form import errors_of
from services.token_authority.payloads.token_requests import RotateSecret
from services.token_authority.storage.admin_keys import select_admin_keys
from shared.runtime.pages.notices import lead_to

LAST: Final = (
    "This is the last admin key in the role admin. Without one, no one could manage tokens. Create another admin "
    "first, and revoke this one with it."
)
OWN_ROTATION: Final = (
    "This is your own key. Your session ends with the secret that you signed in with: at the end of the overlap, or "
    "earlier. Sign in with the new one then."
)
OWN_REVOCATION: Final = "This is your own key: your session ends with it, and you are signed out."


async def show_rotate(request: web.Request) -> web.Response:
    """Return the form to rotate the secret of an admin key."""
    key = await find_admin_key(request)
    if key.revoked_at is not None:
        raise web.HTTPSeeOther(administrator_path(key.id))
    return _rotate_page(request, key, DEFAULT, new_form_key())


async def rotate_administrator(request: web.Request) -> web.Response:
    """Rotate the secret of an admin key, and show the new one once; lead to the key if the same form did that."""
    found, form, by = await find_admin_key(request), request[FORM], administrator_of(request).actor
    path, form_key = administrator_path(found.id), form.raw(FORM_KEY)
    body = DEFAULT
    try:
        body = read_rotation(form)
        key = form_key_of(request, body)
        rotated = await operations.rotate_admin_key(
            request.app[DATABASE], found.id, body.to_rotation(key), by, datetime.now(UTC)
        )
    except RequestRepeated:
        return lead_to(path, REPEATED)
    except InvalidValue as error:
        return _rotate_page(request, found, DEFAULT, form_key, 422, errors_of(error))
    except TooManySecrets as error:
        return _rotate_page(request, found, body, form_key, 409, explain_too_many_secrets(error))
    return page(
        request,
        "new_secret.html",
        title=f"Administrator {found.name} has a new secret",
        crumbs=_crumbs_of(found),
        label="Admin key",
        secret=rotated.minted.text,
        then=path,
        next="Open the administrator",
        use=OWN_ROTATION if found.id == own_key_id(request) else "",
        old_secrets_end_at=rotated.old_secrets_end_at,
    )


async def show_revoke(request: web.Request) -> web.Response:
    """Return the page that asks whether to revoke an admin key, or says why it cannot be."""
    key = await find_admin_key(request)
    if key.revoked_at is not None:
        raise web.HTTPSeeOther(administrator_path(key.id))
    keys = await select_admin_keys(request.app[DATABASE])
    admins = [each.id for each in keys if each.role == "admin" and each.revoked_at is None]
    return _revoke_page(request, key, LAST if admins == [key.id] else "")


async def revoke_administrator(request: web.Request) -> web.Response:
    """Revoke an admin key, and lead to it; to the page to sign in if it was that of the session."""
    key, by = await find_admin_key(request), administrator_of(request).actor
    try:
        await operations.revoke_admin_key(request.app[DATABASE], key.id, by, datetime.now(UTC))
    except LastAdministrator:
        return _revoke_page(request, key, LAST, 409)
    if key.id != own_key_id(request):
        return lead_to(administrator_path(key.id), "revoked")
    response = web.Response(status=303, headers={"Location": f"{paths.SIGN_IN}?out=true"})
    request.app[SESSION_COOKIE].delete(response)
    return response


def _crumbs_of(key: AdminKey) -> list[tuple[str, str]]:
    return [("Administrators", paths.ADMINISTRATORS), (key.name, administrator_path(key.id))]


def _revoke_page(request: web.Request, key: AdminKey, refusal: str, status: int = 200) -> web.Response:
    return page(
        request,
        "confirm_action.html",
        status=status,
        title=f"Revoke administrator {key.name}",
        crumbs=_crumbs_of(key),
        effects=[
            f"The admin key {key.hint} no longer works, permanently, and its sessions end.",
            "The tokens, services and administrators that it has created are kept.",
        ],
        warning=OWN_REVOCATION if key.id == own_key_id(request) else "",
        refusal=refusal,
        button="Revoke administrator",
        busy="Revoking …",
    )


def _rotate_page(
    request: web.Request,
    key: AdminKey,
    values: RotateSecret,
    form_key: str,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    return page(
        request,
        "rotate_secret.html",
        status=status,
        title=f"Rotate the secret of {key.name}",
        crumbs=_crumbs_of(key),
        user="the administrator",
        warning=OWN_ROTATION if key.id == own_key_id(request) else "",
        has_secrets=True,
        values=values,
        overlaps=OVERLAPS,
        form_key=form_key,
        errors=errors or {},
    )
