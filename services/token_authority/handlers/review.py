"""`/v1/tokens/review`: tokens that need attention, with advice."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, DATABASE
from services.token_authority.handlers.cursor import read_finding_cursor, write_finding_cursor
from services.token_authority.handlers.parameters import invalid_parameters
from services.token_authority.operations.review import collect_findings
from services.token_authority.payloads.review import FindingPayload, ReviewPage, ReviewTokens
from services.token_authority.payloads.tokens import LimitsPayload
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.query import read_query


@endpoint(
    summary="Review tokens",
    description="Active tokens that need attention, by kind: `unused`, `never_used`, `never_expires`, `reaches_any` (a "
    "scope for every workspace), `expiring`, `rotated_secret_in_use` (a replaced secret is still used, or was "
    "presented after its end in the last 30 days) and `owner_inactive` (no other token of its owner was created or "
    "used).",
    tags=("tokens",),
    query=ReviewTokens,
    responses={200: Response(description="A page of findings.", body=ReviewPage)},
)
async def review_tokens(request: web.Request) -> web.Response:
    """Return 200 with a page of findings among the tokens that the admin key sees."""
    query, now = read_query(request, ReviewTokens), datetime.now(UTC)
    after = read_finding_cursor(query.cursor, query.kinds)
    with invalid_parameters():
        review = query.to_review(now)
    found = await collect_findings(
        request.app[DATABASE], review, request[ADMIN_KEY], query.kinds, after, query.limit + 1
    )
    page = found[: query.limit]
    cursor = write_finding_cursor(page[-1].place) if len(found) > query.limit else None
    items = [FindingPayload.of(finding, now) for finding in page]
    return json_response(ReviewPage(items, cursor, LimitsPayload.of(request[ADMIN_KEY])))
