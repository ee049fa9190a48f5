"""Create a token, and show its secret once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from services.token_authority.app_keys import DATABASE, FORM, SESSION, SETTINGS
from services.token_authority.domain.errors import Forbidden, InvalidValue, RequestRepeated
from services.token_authority.domain.token import Token
from services.token_authority.operations.issuance import issue_token
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.form_keys import FORM_KEY, REPEATED, form_key_of, new_form_key
from services.token_authority.pages.page import page
from services.token_authority.pages.scope_form import ACTIONS, preview, read_scope_form
from services.token_authority.pages.token_form import TokenForm, errors_of, new_token_form, read_token_form
from services.token_authority.storage.sites import select_sites
from shared.contract.scope import Action
from shared.runtime.pages.notices import lead_to


async def show_form(request: web.Request) -> web.Response:
    """Return the empty form."""
    form = new_token_form(datetime.now(UTC), request.app[SETTINGS].max_token_lifetime)
    return await _form_page(request, form, new_form_key())


async def preview_scopes(request: web.Request) -> web.Response:
    """Return a part of the page: what the scope builder of a form comes to."""
    return page(request, "scope_preview.html", preview=preview(read_scope_form(request[FORM])))


async def create_token(request: web.Request) -> web.Response:
    """Create the token of a form, and return the page with its secret; with a row added if that was asked for."""
    sent, now = request[FORM], datetime.now(UTC)
    max_lifetime = request.app[SETTINGS].max_token_lifetime
    form = read_token_form(sent, now, max_lifetime)
    if sent.has("add_row"):
        form = msgspec.structs.replace(form, scopes=form.scopes.with_row())
    if sent.has("add_row") or sent.has("preview"):
        return await _form_page(request, form, sent.raw(FORM_KEY))
    key = form_key_of(request, form)
    try:
        form.scopes.require_names()
        issued = await issue_token(
            request.app[DATABASE],
            form.to_request(),
            form.site or None,
            administrator_of(request),
            now=now,
            max_lifetime=max_lifetime,
            key=key,
        )
    except RequestRepeated as repeated:
        return lead_to(paths.token_path(repeated.holder_id), REPEATED)
    except InvalidValue as error:
        return await _form_page(request, form, sent.raw(FORM_KEY), errors_of(error))
    except Forbidden as error:
        return await _form_page(request, form, sent.raw(FORM_KEY), {"scopes": str(error)}, status=403)
    return await shown_once(request, issued.token, issued.minted.text, "Token created", status=201)


async def shown_once(
    request: web.Request,
    token: Token,
    secret: str,
    title: str,
    *,
    status: int = 200,
    old: str = "",
    receipt: str = "",
) -> web.Response:
    """Return the page that shows a new secret of a token, which no other page does.

    `old` says how long the older secret works, `receipt` since when the change is in force.
    """
    sites = {site.id: site for site in await select_sites(request.app[DATABASE])}
    settings = request.app[SETTINGS]
    endpoint = f"{settings.polls_url}/x1/{sites[token.site_id].endpoint_id}"
    return page(
        request,
        "token_secret.html",
        status=status,
        token=token,
        secret=secret,
        title=title,
        old=old,
        receipt=receipt,
        endpoint=endpoint,
        command=_command(token, endpoint, settings.token_authority_issuer),
    )


def _command(token: Token, endpoint: str, authority: str) -> tuple[str, str]:
    """Return a command that works with the token, as the parts before and after the secret.

    It lists polls if the token may, else it shows the token itself.
    """
    path = next((scope.path for scope in token.scopes if Action.READ in scope.actions), None)
    if path is None or not token.allow_query:
        return "curl -H 'Authorization: Bearer ", f"' {authority}/v1/token"
    workspace, content, container = (*path, "", "", "")[:3]
    place = {"type": "polls", "workspace": workspace or "PLAT", "content": content or "PLAT-1"}
    query = urlencode({**place, **({"container": container} if container else {})})
    return f"curl '{endpoint}?token=", f"&{query}'"


async def _form_page(
    request: web.Request,
    form: TokenForm,
    form_key: str,
    errors: Mapping[str, str] | None = None,
    *,
    status: int = 422,
) -> web.Response:
    sites = await select_sites(request.app[DATABASE])
    limits = request[SESSION].rights.sites
    settings = request.app[SETTINGS]
    values: dict[str, Any] = {
        "form": form,
        "form_key": form_key,
        "errors": errors or {},
        "sites": [site for site in sites if limits is None or site.id in limits],
        "actions": ACTIONS,
        "preview": preview(form.scopes),
        "max_days": settings.max_token_lifetime_days,
        "token": None,
    }
    return page(request, "token_form.html", status=status if errors else 200, **values)
