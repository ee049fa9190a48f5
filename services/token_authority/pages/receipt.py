"""The receipt of a change: sent while replicas confirm it, until it is in force everywhere."""

import asyncio
from collections.abc import Sequence
from secrets import token_hex
from typing import Final

from aiohttp import web
from markupsafe import Markup, escape

from services.token_authority.app_keys import CONFIRMATIONS
from services.token_authority.domain.lease import Effect, PendingChange
from services.token_authority.pages.page import page_stream_headers, render, whole_page
from shared.runtime.http.application import add_log_fields, extend_deadline
from shared.runtime.http.large_responses import write_within_limit
from shared.runtime.http.response_hooks import start_stream

PATIENCE_S: Final = 0.3
"""How long the page waits before it is sent in pieces."""
INTERVAL_S: Final = 0.2


async def receipt_page(
    request: web.Request, template: str, pending: Sequence[PendingChange], **values: object
) -> web.StreamResponse:
    """Return the page of a template with the `receipt` of changes.

    While replicas have to confirm them, the page is sent as far as it is known, and grows by a line when another one
    has. Without a change that concerns replicas, the receipt is empty.
    """
    if not pending:
        return whole_page(render(request, template, receipt="", **values))
    confirmations = request.app[CONFIRMATIONS]
    extend_deadline(request, max(map(confirmations.max_wait_s, pending)))
    waiting = asyncio.ensure_future(_wait(request, pending))
    try:
        done, _ = await asyncio.wait({waiting}, timeout=PATIENCE_S)
        if done:
            return whole_page(render(request, template, receipt=_receipt(waiting.result()), **values))
        mark = f"progress{token_hex(8)}"
        before, _, after = render(request, template, receipt=mark, **values).partition(mark)
        return await _stream(request, before, after, pending, waiting)
    finally:
        waiting.cancel()


async def wait_for_effect(request: web.Request, pending: PendingChange | None) -> str:
    """Return the receipt of a change as a sentence, when it is in force everywhere; empty without a change."""
    if pending is None:
        return ""
    extend_deadline(request, request.app[CONFIRMATIONS].max_wait_s(pending))
    return describe_effect(await _wait(request, [pending]))


def describe_effect(effect: Effect) -> str:
    """Return how far a change is in force: `In force everywhere after 9 ms, 4 replicas.`"""
    if not effect.effective:
        return "Not yet confirmed by every replica, because this process is stopping. Open the token to see when it is."
    if not (effect.confirmed or effect.expired):
        return "In force everywhere: no replica of a service is running."
    took = f"{effect.waited_ms:.0f} ms" if effect.waited_ms < 1000 else f"{effect.waited_ms / 1000:.1f} s"
    replicas = f"{effect.confirmed} {'replica' if effect.confirmed == 1 else 'replicas'}"
    if not effect.expired:
        return f"In force everywhere after {took}, {replicas}."
    those = "1 replica" if effect.expired == 1 else f"{effect.expired} replicas"
    return f"In force everywhere after {took}: {replicas} confirmed, the lease of {those} ended without an answer."


async def _wait(request: web.Request, pending: Sequence[PendingChange]) -> Effect:
    confirmations = request.app[CONFIRMATIONS]
    effects = [await confirmations.wait_until_effective(change) for change in pending]
    last = effects[-1]
    add_log_fields(request, seq=pending[-1].seq, confirmed=last.confirmed, expired=last.expired)
    return Effect(
        all(effect.effective for effect in effects),
        max(effect.waited_ms for effect in effects),
        max(effect.confirmed for effect in effects),
        max(effect.expired for effect in effects),
    )


async def _stream(
    request: web.Request,
    before: str,
    after: str,
    pending: Sequence[PendingChange],
    waiting: "asyncio.Future[Effect]",
) -> web.StreamResponse:
    response = web.StreamResponse(headers=page_stream_headers())
    await start_stream(request, response)
    part = before
    while not waiting.done():
        if not await write_within_limit(request, response, f"{part}{_progress(pending[-1])}".encode()):
            return response
        part, confirmed = "", pending[-1].confirmed
        while not waiting.done() and pending[-1].confirmed == confirmed:
            await asyncio.wait({waiting}, timeout=INTERVAL_S)
    if await write_within_limit(request, response, f"{part}{_receipt(waiting.result())}{after}".encode()):
        await response.write_eof()
    return response


def _progress(change: PendingChange) -> Markup:
    line = f"{change.confirmed} of {change.replicas} replicas confirmed …"
    return Markup('<p class="receipt progress">{}</p>\n').format(line)


def _receipt(effect: Effect) -> Markup:
    kind = "effective" if effect.effective else "pending"
    return Markup('<p class="receipt {}">{}</p>\n').format(kind, escape(describe_effect(effect)))
