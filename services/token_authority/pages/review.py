"""The review: tokens that need attention, each with a reason and what can be done with one click."""

from datetime import UTC, datetime
from itertools import groupby
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import DATABASE, FORM, SESSION
from services.token_authority.domain.errors import TokenEnded
from services.token_authority.domain.review import FINDING_KINDS, KEEPABLE, FindingKind, Review
from services.token_authority.handlers.cursor import read_finding_cursor, write_finding_cursor
from services.token_authority.operations.review import (
    collect_findings,
    complete_review,
    keep_finding,
    select_last_completion,
)
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.answers import ANSWERS, TITLES
from services.token_authority.pages.page import page
from services.token_authority.pages.references import Names, Reference, names_of, reference_to
from services.token_authority.pages.token_detail import EXPIRING_DAYS, UNUSED_DAYS
from services.token_authority.storage.admin_keys import select_admin_keys
from shared.runtime.http.problem import BadRequest
from shared.runtime.http.query import read_query
from shared.runtime.pages.notices import lead_to

ROWS: Final = 50
KEPT_DAYS: Final = 90
NOTICES: Final = {
    "kept": f"Kept: the review leaves it out for {KEPT_DAYS} days.",
    "ended": "This token no longer works, so there was nothing to keep.",
    "completed": "The review is recorded as complete.",
}


class ReviewFilters(Struct, frozen=True, omit_defaults=True):
    """The kind of findings to show, whether kept ones are among them, and the page. `done` names a notice."""

    kind: FindingKind | Literal[""] = ""
    kept: bool = False
    cursor: str = ""
    done: str = ""

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """The kinds of findings to show."""
        return (self.kind,) if self.kind else FINDING_KINDS

    def url(self, **changes: object) -> str:
        """Return the address of the review with some fields changed, from its first page on unless it is given."""
        fields = msgspec.to_builtins(msgspec.structs.replace(self, **{"cursor": "", "done": "", **changes}))
        texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
        return f"{paths.REVIEW}?{urlencode(texts)}" if texts else paths.REVIEW


async def show_review(request: web.Request) -> web.Response:
    """Return a page of findings."""
    filters, now, database = read_query(request, ReviewFilters), datetime.now(UTC), request.app[DATABASE]
    rights = request[SESSION].rights
    after = read_finding_cursor(filters.cursor or None, filters.kinds)
    review = Review(now, UNUSED_DAYS, EXPIRING_DAYS, include_kept=filters.kept)
    found = await collect_findings(database, review, rights, filters.kinds, after, ROWS + 1)
    shown, completed = found[:ROWS], await select_last_completion(database)
    names = names_of(await select_admin_keys(database) if rights.may_audit else ())
    return page(
        request,
        "review.html",
        filters=filters,
        keepers={each.kept.kept_by: _someone(each.kept.kept_by, names) for each in shown if each.kept},
        groups=[(kind, list(findings)) for kind, findings in groupby(shown, lambda finding: finding.kind)],
        kinds=FINDING_KINDS,
        titles=TITLES,
        answers=ANSWERS,
        kept_days=KEPT_DAYS,
        keepable=KEEPABLE,
        next_url=filters.url(cursor=write_finding_cursor(shown[-1].place)) if len(found) > ROWS else "",
        last_completed=completed,
        completed_by=_someone(completed.by, names) if completed else None,
        notice=NOTICES.get(filters.done, ""),
    )


def _someone(by: str, names: Names) -> Reference:
    """Return the administrator, whose name only those see that may see all administrators."""
    return reference_to(by, names) if names else Reference("", "an administrator")


async def keep(request: web.Request) -> web.Response:
    """Keep the finding of a form, and lead back to the review."""
    filters = read_query(request, ReviewFilters)
    kind, _, token_id = request[FORM].text("keep").partition(" ")
    known = next((each for each in FINDING_KINDS if each == kind), None)
    if known is None:
        raise BadRequest("The form names no kind of finding, so nothing was changed. Open the review again.")
    by, done = administrator_of(request), "kept"
    try:
        await keep_finding(request.app[DATABASE], token_id, known, KEPT_DAYS, by, datetime.now(UTC))
    except TokenEnded:
        done = "ended"
    raise web.HTTPSeeOther(filters.url(cursor=filters.cursor, done=done))


async def complete(request: web.Request) -> web.Response:
    """Record that a review is complete, and lead back to it."""
    await complete_review(request.app[DATABASE], administrator_of(request))
    return lead_to(paths.REVIEW, "completed")
