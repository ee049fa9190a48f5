"""`/v1/audit`: read the audit log, page by page or as a JSON Lines export, and verify it."""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from aiohttp import hdrs, web

from services.token_authority.app_keys import CHAIN_VERIFIER, DATABASE
from services.token_authority.domain.audit import AuditSelection
from services.token_authority.payloads.audit import (
    AuditConditions,
    AuditPage,
    ChainReportPayload,
    ListAudit,
    VerifyAudit,
)
from services.token_authority.storage.audit import select_audit
from shared.contract.audit import AuditRecord
from shared.runtime.http.application import extend_deadline
from shared.runtime.http.body import read_json_if_any
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response
from shared.runtime.http.large_responses import write_within_limit
from shared.runtime.http.query import read_query
from shared.runtime.http.response_hooks import start_stream
from shared.runtime.postgres.database import Database

JSON_LINES: Final = "application/jsonl"
EXPORT_LIMIT_S: Final = 600.0
VERIFICATION_LIMIT_S: Final = 600.0
CHUNK: Final = 1000


@endpoint(
    summary="Read the audit log",
    description="The `hash` of each record covers that of the record before, so that tampering can be detected.",
    tags=("audit",),
    query=ListAudit,
    responses={200: Response(description="A page of records in order.", body=AuditPage)},
)
async def list_audit(request: web.Request) -> web.Response:
    """Return 200 with a page of the records that meet every condition."""
    query = read_query(request, ListAudit)
    chosen, database = query.to_selection(), request.app[DATABASE]
    found = await select_audit(database, chosen, query.after, query.limit + 1, newest_first=query.newest_first)
    page = found[: query.limit]
    return json_response(AuditPage(page, page[-1].seq if len(found) > query.limit else None))


@endpoint(
    summary="Export the audit log",
    description="Every record that meets the conditions, as JSON Lines.",
    tags=("audit",),
    query=AuditConditions,
    responses={200: Response(description="Records in order.", body=AuditRecord, media_type=JSON_LINES)},
)
async def export_audit(request: web.Request) -> web.StreamResponse:
    """Return 200 with every record that meets the conditions, streamed as they are read."""
    query = read_query(request, AuditConditions)
    extend_deadline(request, EXPORT_LIMIT_S)
    pages = _pages(request.app[DATABASE], query.to_selection(), query.after)
    page = await anext(pages)  # an error here still gets its own response
    response = web.StreamResponse(headers={"Content-Type": JSON_LINES})
    if request.method == hdrs.METH_HEAD:
        return response
    await start_stream(request, response)
    while page:
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in page)
        if not await write_within_limit(request, response, lines):
            return response
        page = await anext(pages)
    await response.write_eof()
    return response


@endpoint(
    summary="Verify the audit log",
    description="Checks that no record was changed, inserted or removed. The owner of the database could cut off the "
    "end, or compute all hashes again; to detect that, note the head elsewhere, and send it with the next "
    "verification. Takes some time: 20 seconds or more for a million records.",
    tags=("audit",),
    body=VerifyAudit,
    body_required=False,
    body_example={"seq": 1284, "hash": "5f0c" * 16},
    responses={200: Response(description="What was verified, intact or not.", body=ChainReportPayload)},
)
async def verify_audit(request: web.Request) -> web.Response:
    """Return 200 with the report, whether or not the log is intact."""
    earlier = (await read_json_if_any(request, VerifyAudit)).to_head()
    extend_deadline(request, VERIFICATION_LIMIT_S)
    return json_response(ChainReportPayload.of(await request.app[CHAIN_VERIFIER].verify(earlier)))


async def _pages(
    database: Database, chosen: AuditSelection, after: int | None
) -> AsyncGenerator[list[AuditRecord], None]:
    """Yield pages; the last one is empty."""
    while True:
        page = await select_audit(database, chosen, after, CHUNK)
        yield page
        after = page[-1].seq if page else after
