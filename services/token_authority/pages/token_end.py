"""Disable, enable and revoke one token, each with what it will do, and a receipt."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import CHANGES, DATABASE, FORM, REVOKER
from services.token_authority.domain.errors import InvalidValue, TokenEnded
from services.token_authority.domain.reason import Reason, ReasonKind, new_reason
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_fields import validate_text
from services.token_authority.domain.usage import Use
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import token_path
from services.token_authority.pages.receipt import receipt_page, wait_for_effect
from services.token_authority.pages.token_detail import load_changeable_token, load_token
from services.token_authority.pages.token_form import errors_of
from services.token_authority.storage import guards, usage
from shared.runtime.pages.forms import Form
from shared.runtime.pages.notices import lead_to

REASONS: Final[tuple[tuple[ReasonKind, str], ...]] = (
    ("unneeded", "It is no longer needed"),
    ("leaked", "It has leaked"),
    ("rotated", "Another token replaces it"),
    ("owner_left", "Its owner has left"),
    ("policy", "A policy requires it"),
    ("other", "Another reason, which is entered below"),
)


def read_reason(form: Form) -> Reason:
    """Return the reason that was chosen, with its comment. Raise `InvalidValue` for none."""
    chosen, text = form.text("reason"), form.text("text")
    kind = next((kind for kind, _ in REASONS if kind == chosen), None)
    if kind is None:
        raise InvalidValue(("reason",), "choose a reason")
    if kind == "other" and not text:
        raise InvalidValue(("text",), "say what the reason is")
    return new_reason(kind, text or None)


async def show_revoke(request: web.Request) -> web.Response:
    """Return the page that says what a revocation will do."""
    token = await load_changeable_token(request, also_expired=True)
    return await _ask(request, token, "token_revoke.html")


async def revoke_token(request: web.Request) -> web.StreamResponse:
    """Revoke the token, and return the receipt while replicas confirm it."""
    token, form = await load_token(request), request[FORM]
    try:
        why = read_reason(form)
    except InvalidValue as error:
        return await _ask(request, token, "token_revoke.html", errors_of(error))
    revocation = await request.app[REVOKER].revoke(token.id, why, administrator_of(request))
    was = "" if revocation.tokens else " It was revoked before."
    return await receipt_page(
        request,
        "token_changed.html",
        [revocation.pending],
        token=token,
        title="Token revoked",
        what=f"{token.name} is revoked, permanently.{was}",
    )


async def show_disable(request: web.Request) -> web.Response:
    """Return the page that says what disabling will do."""
    return await _ask(request, await load_changeable_token(request), "token_disable.html")


async def disable_token(request: web.Request) -> web.StreamResponse:
    """Disable the token, and return the receipt."""
    token, text = await load_token(request), request[FORM].text("text")
    try:
        reason = validate_text("text", text) if text else None
        changed = await request.app[CHANGES].disable(token.id, reason, administrator_of(request))
    except InvalidValue as error:
        return await _ask(request, token, "token_disable.html", errors_of(error))
    except TokenEnded as error:
        return await _ask(request, token, "token_disable.html", {"form": str(error)})
    return await receipt_page(
        request,
        "token_changed.html",
        [changed.pending] if changed.pending else [],
        token=token,
        title="Token disabled",
        what=f"{token.name} does not work until someone enables it again.",
    )


async def enable_token(request: web.Request) -> web.Response:
    """Enable the token, and lead to its page."""
    token = await load_token(request)
    changed = await request.app[CHANGES].enable(token.id, administrator_of(request))
    await wait_for_effect(request, changed.pending)
    return lead_to(token_path(token.id), "enabled")


async def _ask(
    request: web.Request, token: Token, template: str, errors: Mapping[str, str] | None = None
) -> web.Response:
    database = request.app[DATABASE]
    return page(
        request,
        template,
        status=422 if errors else 200,
        token=token,
        now=datetime.now(UTC),
        use=(await usage.select_use(database, [token.id])).get(token.id, Use()),
        replicas=len((await guards.select_leases(database)).leases),
        reasons=REASONS,
        form=request.get(FORM),
        errors=errors or {},
    )
