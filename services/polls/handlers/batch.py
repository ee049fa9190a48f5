"""`/v1/polls:batch`: several changes of polls in one request, each with its own outcome."""

from aiohttp import web

from services.polls.app_keys import BATCH_EDITOR
from services.polls.handlers.actor import actor_of
from services.polls.handlers.descriptions import IN_USE
from services.polls.handlers.idempotency import read_key, to_response
from services.polls.payloads import examples
from services.polls.payloads.batch import EXAMPLE, Batch, Outcomes
from services.polls.payloads.parameters import BatchHeaders
from shared.guard import caller, count_items
from shared.runtime.http.body import JSON, read_json, require_media_type
from shared.runtime.http.endpoint import Response, endpoint


@endpoint(
    summary="Change several polls",
    description="Up to 100, in one transaction. Each item has its own outcome. With `atomic`, either all are made or "
    "none is, and each poll may be named once. A batch counts as many requests against the rate limit of the token as "
    "it has items.",
    tags=("polls",),
    headers=BatchHeaders,
    body=Batch,
    body_example=EXAMPLE,
    responses={
        200: Response(
            description="The outcome of each item, also if some or all have failed.",
            body=Outcomes,
            example=examples.OUTCOMES,
        )
    },
    problems={
        **IN_USE,
        422: "The body is invalid, an atomic batch names a poll twice, the batch has more items than the rate limit of "
        "the token, or the Idempotency-Key was used with another request.",
    },
)
async def change_polls(request: web.Request) -> web.Response:
    """Return 200 with the outcome of each item, also if some have failed."""
    require_media_type(request, JSON)
    content = await request.read()
    batch, key = read_json(content, Batch), read_key(request, content)
    await count_items(request, len(batch.items))
    editor = request.app[BATCH_EDITOR]
    items, actor = batch.to_items(), actor_of(request)
    return to_response(await editor.apply(caller(request), items, actor, is_atomic=batch.atomic, key=key))
