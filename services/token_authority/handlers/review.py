"""`/v1/tokens/review`: tokens that need attention, with advice; and findings that administrators keep."""

from datetime import UTC, datetime

from aiohttp import web

from services.token_authority.app_keys import ADMIN_KEY, DATABASE
from services.token_authority.handlers.access import administrator_of
from services.token_authority.handlers.cursor import read_finding_cursor, write_finding_cursor
from services.token_authority.handlers.parameters import invalid_parameters
from services.token_authority.handlers.tokens import ENDED, token_id_of
from services.token_authority.operations import review as operations
from services.token_authority.payloads.review import (
    FindingPayload,
    KeepFinding,
    KeptFindingPayload,
    ReviewCompletionPayload,
    ReviewPage,
    ReviewTokens,
)
from services.token_authority.payloads.tokens import LimitsPayload
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.query import read_query


@endpoint(
    summary="Review tokens",
    description="Active tokens that need attention, by kind: `unused`, `never_used`, `never_expires`, `reaches_any` (a "
    "scope for every workspace), `expiring`, `rotated_secret_in_use` (a replaced secret is still used, or was "
    "presented after its end in the last 30 days) and `owner_inactive` (no other token of its owner was created or "
    "used). Findings that an administrator keeps are left out unless `include_kept` is true.",
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
    database, rights = request.app[DATABASE], request[ADMIN_KEY]
    found = await operations.collect_findings(database, review, rights, query.kinds, after, query.limit + 1)
    last = await operations.select_last_completion(database)
    page = found[: query.limit]
    cursor = write_finding_cursor(page[-1].place) if len(found) > query.limit else None
    items = [FindingPayload.of(finding, now) for finding in page]
    last_completed = None if last is None else ReviewCompletionPayload.of(last)
    return json_response(ReviewPage(items, cursor, LimitsPayload.of(rights), last_completed))


@endpoint(
    summary="Keep a finding",
    description="An administrator has looked at this finding of the token: reviews leave it out for some days, 90 by "
    "default, unless they `include_kept`. A repetition counts the days again.",
    tags=("tokens",),
    body=KeepFinding,
    responses={200: Response(description="The kept finding.", body=KeptFindingPayload)},
    problems=ENDED,
)
async def keep_finding(request: web.Request) -> web.Response:
    """Return 200 with the kept finding, whether or not the token has it at this time."""
    require_media_type(request, JSON)
    body = read_json(await request.read(), KeepFinding)
    by, token_id = administrator_of(request), token_id_of(request)
    kept = await operations.keep_finding(request.app[DATABASE], token_id, body.kind, body.days, by, datetime.now(UTC))
    return json_response(KeptFindingPayload.of(kept))


@endpoint(
    summary="Complete a review",
    description="Records in the audit log that an administrator has completed a review of the tokens.",
    tags=("tokens",),
    responses={
        200: Response(description="When it was completed, and by which administrator.", body=ReviewCompletionPayload)
    },
)
async def complete_review(request: web.Request) -> web.Response:
    """Return 200 with the time and the administrator."""
    completion = await operations.complete_review(request.app[DATABASE], administrator_of(request))
    return json_response(ReviewCompletionPayload.of(completion))
