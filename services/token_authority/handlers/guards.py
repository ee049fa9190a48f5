"""`/v1/guards`: guards fetch changes, and renew and release their leases."""

import re
from typing import Final

from aiohttp import web

from services.token_authority.app_keys import DATABASE, RESTORATION, SERVICE, SYNCS
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.lease import GuardKey
from services.token_authority.storage import guards
from shared.contract.restoration import ChangesReport
from shared.contract.sync import SyncAnswer, SyncRequest
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint
from shared.runtime.http.json_response import json_response

EXAMPLE_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLE_RECEIPT: Final = "693451729c6346a9b7dba7f665eacb6b8E2lBpFXx8OpAqe0KNSRdQ"
_GUARD_ID: Final = re.compile(r"[0-9A-Za-z_-]{16,64}")


@endpoint(
    summary="Sync a guard",
    description="Returns the changes since the last sync and a lease on the guard's cache. `shared/contract/sync.py` "
    "describes the protocol.",
    tags=("guards",),
    body=SyncRequest,
    responses={200: Response(description="The changes and the lease.", body=SyncAnswer)},
)
async def sync_guard(request: web.Request) -> web.Response:
    """Return 200 with the changes since the last sync and a lease."""
    require_media_type(request, JSON)
    guard, body = _guard_key_of(request), read_json(await request.read(), SyncRequest)
    return json_response(await request.app[SYNCS].sync(guard, body, request[SERVICE].sites))


@endpoint(
    summary="Report the changes that a guard has applied",
    description="Guards send this when the database of the token authority was restored: what they know of changes "
    "that it lacks. A change without a valid receipt is ignored, and so is one that the database has. "
    "`shared/contract/restoration.py` describes it.",
    tags=("guards",),
    body=ChangesReport,
    body_example={"changes": [{"seq": 42, "digest": EXAMPLE_DIGEST, "receipt": EXAMPLE_RECEIPT}]},
    responses={204: Response(description="What the database lacks is stored, and considered when it is finished.")},
)
async def report_changes(request: web.Request) -> web.Response:
    """Return 204 when the reported changes are stored, as far as the database lacks them."""
    require_media_type(request, JSON)
    guard, body = _guard_key_of(request), read_json(await request.read(), ChangesReport)
    await request.app[RESTORATION].store_report(guard.client_id, body.changes)
    return web.Response(status=204)


@endpoint(
    summary="Release a guard's lease",
    tags=("guards",),
    responses={204: Response(description="No change waits for this guard any longer.")},
    problems={422: "The guard id is invalid."},
)
async def release_guard(request: web.Request) -> web.Response:
    """Return 204: no change waits for this guard any longer."""
    await guards.release_lease(request.app[DATABASE], _guard_key_of(request))
    return web.Response(status=204)


def _guard_key_of(request: web.Request) -> GuardKey:
    guard_id = request.match_info["guard_id"]
    if not _GUARD_ID.fullmatch(guard_id):
        raise InvalidValue((), "a guard id must be 16 to 64 characters of A-Z a-z 0-9 _ -")
    return GuardKey(request[SERVICE].client_id, guard_id)
