"""One token: what it may do, its secrets, its requests, what needs attention, and its history."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE, REVOKER, SESSION
from services.token_authority.domain.audit import AuditSelection
from services.token_authority.domain.errors import UnknownToken
from services.token_authority.domain.review import FINDING_KINDS, Review
from services.token_authority.domain.selection import Selection
from services.token_authority.domain.token import Token
from services.token_authority.domain.usage import DayOfUse, Use
from services.token_authority.handlers.tokens import token_id_of
from services.token_authority.operations.review import collect_findings
from services.token_authority.pages.answers import ANSWERS
from services.token_authority.pages.form_keys import REPEATED, REPEATED_NOTICE
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import token_path
from services.token_authority.pages.references import names_of, reference_to
from services.token_authority.storage import secrets, tokens, usage
from services.token_authority.storage.admin_keys import select_admin_keys
from services.token_authority.storage.audit import select_audit
from services.token_authority.storage.sites import select_sites
from shared.runtime.http.query import query_of
from shared.runtime.pages.charts import draw_bars
from shared.runtime.pages.filters import day, plural
from shared.runtime.pages.notices import notice_of

DAYS: Final = 30
RECORDS: Final = 20
RECEIPT_SHOWN: Final = timedelta(days=1)
"""How long the page says that a revocation is in force everywhere."""
REASON_WORDS: Final[Mapping[str, str]] = {
    "unneeded": "no longer needed",
    "leaked": "leaked",
    "rotated": "replaced by another token",
    "owner_left": "its owner has left",
    "policy": "a policy required it",
    "other": "another reason",
}
UNUSED_DAYS: Final = 90
EXPIRING_DAYS: Final = 7

NOTICES: Final[Mapping[str, str]] = {
    REPEATED: REPEATED_NOTICE,
    "enabled": "The token works again.",
    "revoked": "The token is revoked, permanently, so it cannot be changed.",
    "expired": "The token has expired. Rotate it with a new expiry to use it again.",
    "unchanged": "Nothing was different, so nothing was changed.",
}
"""The notices that a page may lead here with."""


async def load_token(request: web.Request) -> Token:
    """Return the token in the path. Raise `UnknownToken` if there is none that the administrator may see."""
    token = await tokens.select_token(request.app[DATABASE], token_id_of(request))
    if token is None or not request[SESSION].rights.sees(token):
        raise UnknownToken
    return token


async def load_changeable_token(request: web.Request, *, also_expired: bool = False) -> Token:
    """Return the token in the path for a page that changes it.

    Raise `UnknownToken`, or lead to the page of the token if it has ended; with `also_expired`, only if it is revoked.
    """
    token = await load_token(request)
    status = token.status(datetime.now(UTC))
    if status == "revoked" or (status == "expired" and not also_expired):
        raise web.HTTPSeeOther(f"{token_path(token.id)}?done={status}")
    return token


async def show_token(request: web.Request) -> web.Response:
    """Return the page of the token."""
    token, now, database = await load_token(request), datetime.now(UTC), request.app[DATABASE]
    rights, query = request[SESSION].rights, query_of(request)
    review = Review(now, UNUSED_DAYS, EXPIRING_DAYS, Selection(ids=[token.id]))
    days = _complete_days(await usage.select_days(database, token.id, DAYS), now.date())
    is_recent = token.revoked_at is not None and token.revoked_at > now - RECEIPT_SHOWN
    revocation = await request.app[REVOKER].find_revocation(token.id) if is_recent else None
    found = await secrets.select_secrets(database, "token", token.id)
    about_token = AuditSelection(subject=f"token:{token.id}")
    records = await select_audit(database, about_token, None, RECORDS, newest_first=True) if rights.may_audit else []
    names = names_of(await select_admin_keys(database) if rights.may_audit else ())
    return page(
        request,
        "token.html",
        token=token,
        now=now,
        site=next(site for site in await select_sites(database) if site.id == token.site_id),
        use=(await usage.select_use(database, [token.id])).get(token.id, Use()),
        secrets=found,
        found=next((secret for secret in found if secret.id == query.optional("found")), None),
        findings=await collect_findings(database, review, rights, FINDING_KINDS, None, len(FINDING_KINDS)),
        answers=ANSWERS,
        days=days,
        chart=draw_bars([(_label(each), each.uses, each.refusals) for each in days]),
        created_by=reference_to(token.created_by, names),
        disabled_by=reference_to(token.disabled_by or "", names),
        revoked_by=reference_to(token.revoked_by or "", names),
        reason=REASON_WORDS.get(token.revoked_reason or "", ""),
        pending=revocation.pending if revocation else None,
        records=[(record, reference_to(f"{record.actor}:{record.actor_id or ''}", names)) for record in records],
        notice=notice_of(request, NOTICES),
    )


def _complete_days(found: list[DayOfUse], today: date) -> list[DayOfUse]:
    """Return the counts of each of the last days, the oldest first."""
    by_day = {each.day: each for each in found}
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    return [by_day.get(each, DayOfUse(each, 0, 0)) for each in days]


def _label(counts: DayOfUse) -> str:
    return f"{day(counts.day)}: {plural(counts.uses, 'request')}, {plural(counts.refusals, 'refusal')}"
