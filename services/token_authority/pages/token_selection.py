"""Revoke or disable several tokens: first what it will do, to how many, and then do it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from aiohttp import web

from services.token_authority.app_keys import CHANGES, DATABASE, FORM, REVOKER, SESSION
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.selection import Selection, StatusFilter, new_selection
from services.token_authority.domain.token_fields import validate_text
from services.token_authority.domain.token_page import Order, Page
from services.token_authority.operations.revocation import BULK_LIMIT_S
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.page import page
from services.token_authority.pages.receipt import receipt_page
from services.token_authority.pages.token_end import REASONS, read_reason
from services.token_authority.pages.token_form import errors_of
from services.token_authority.pages.token_list import ROWS
from services.token_authority.storage.selections import count_by_status, select_tokens
from shared.runtime.http.application import extend_deadline
from shared.runtime.pages.filters import plural
from shared.runtime.pages.notices import lead_to

NAMED: Final = 10
"""How many tokens the page names before it acts."""

Action = Literal["revoke", "disable"]


async def ask_about_selection(request: web.Request) -> web.Response:
    """Return the page that says what the action would do, without doing it."""
    action: Action = "revoke" if request[FORM].text("action") == "revoke" else "disable"
    return await _ask(request, action)


async def revoke_selected(request: web.Request) -> web.StreamResponse:
    """Revoke the selected tokens, and return the receipt."""
    try:
        why = read_reason(request[FORM])
    except InvalidValue as error:
        return await _ask(request, "revoke", errors_of(error))
    extend_deadline(request, BULK_LIMIT_S)
    bulk = await request.app[REVOKER].revoke_selected(_selection(request), why, administrator_of(request).actor)
    before = f" {plural(bulk.already_revoked, 'token')} had been revoked before." if bulk.already_revoked else ""
    return await receipt_page(
        request,
        "tokens_changed.html",
        [bulk.revocation.pending] if bulk.revocation else [],
        title="Tokens revoked",
        what=f"{plural(bulk.revoked, 'token')} revoked, permanently.{before}",
    )


async def disable_selected(request: web.Request) -> web.StreamResponse:
    """Disable the selected tokens, and return the receipt."""
    text = request[FORM].text("text")
    try:
        reason = validate_text("text", text) if text else None
    except InvalidValue as error:
        return await _ask(request, "disable", errors_of(error))
    extend_deadline(request, BULK_LIMIT_S)
    bulk = await request.app[CHANGES].disable_selected(_ids(request), reason, administrator_of(request))
    skipped = f" {plural(bulk.skipped, 'token')} did not work before." if bulk.skipped else ""
    return await receipt_page(
        request,
        "tokens_changed.html",
        bulk.pending,
        title="Tokens disabled",
        what=f"{plural(len(bulk.disabled), 'token')} disabled.{skipped}",
    )


async def _ask(request: web.Request, action: Action, errors: Mapping[str, str] | None = None) -> web.Response:
    if not _ids(request):
        return lead_to(paths.TOKENS, "none_selected")
    database, now, selection = request.app[DATABASE], datetime.now(UTC), _selection(request)
    affected: list[StatusFilter] = ["active"] if action == "disable" else ["active", "disabled", "expired"]
    chosen = msgspec.structs.replace(selection, statuses=affected)
    counts = await count_by_status(database, selection, now)
    named = await select_tokens(database, chosen, Page(Order(), None, NAMED), now)
    return page(
        request,
        "tokens_selected.html",
        status=422 if errors else 200,
        action=action,
        ids=_ids(request),
        count=sum(counts.by_status[status] for status in affected),
        selected=counts.total,
        named=[found.token for found in named],
        reasons=REASONS,
        form=request[FORM],
        errors=errors or {},
    )


def _ids(request: web.Request) -> Sequence[str]:
    return list(dict.fromkeys(request[FORM].all("id")))[:ROWS]


def _selection(request: web.Request) -> Selection:
    return new_selection(ids=_ids(request)).within(request[SESSION].rights)
