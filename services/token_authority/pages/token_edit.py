"""Change a token: its description freely, and what it may do only to less."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from services.token_authority.app_keys import CHANGES, FORM
from services.token_authority.domain.errors import InvalidValue, TokenEnded, Widening
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_change import TokenChange
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import token_path
from services.token_authority.pages.receipt import receipt_page
from services.token_authority.pages.scope_form import ACTIONS, preview
from services.token_authority.pages.token_detail import load_changeable_token, load_token
from services.token_authority.pages.token_form import TokenForm, errors_of, form_of_token, read_token_form
from shared.runtime.pages.notices import lead_to


async def show_form(request: web.Request) -> web.Response:
    """Return the form with the fields of the token."""
    token = await load_changeable_token(request)
    form = form_of_token(token, datetime.now(UTC))
    return _form_page(request, token, form)


async def change_token(request: web.Request) -> web.StreamResponse:
    """Change the fields that differ, and return the receipt if the change concerns services."""
    token, sent, now = await load_token(request), request[FORM], datetime.now(UTC)
    form = read_token_form(sent, now, None, token)
    if sent.has("add_row") or sent.has("preview"):
        scopes = form.scopes.with_row() if sent.has("add_row") else form.scopes
        return _form_page(request, token, msgspec.structs.replace(form, scopes=scopes))
    try:
        change = form.to_change(form_of_token(token, now))
        if change == TokenChange():
            return lead_to(token_path(token.id), "unchanged")
        changed = await request.app[CHANGES].change(token.id, change, administrator_of(request))
    except (InvalidValue, Widening) as error:
        return _form_page(request, token, form, errors_of(error))
    except TokenEnded as error:
        return _form_page(request, token, form, {"form": str(error)})
    return await receipt_page(
        request,
        "token_changed.html",
        [changed.pending] if changed.pending else [],
        token=changed.token,
        title="Token changed",
        what=f"{changed.token.name} was changed.",
    )


def _form_page(
    request: web.Request, token: Token, form: TokenForm, errors: Mapping[str, str] | None = None
) -> web.Response:
    return page(
        request,
        "token_form.html",
        status=422 if errors else 200,
        token=token,
        form=form,
        form_key="",
        errors=errors or {},
        sites=[],
        actions=ACTIONS,
        preview=preview(form.scopes),
        max_days=0,
    )
