"""Requests that are done once, under an `Idempotency-Key`."""

from aiohttp import web

from services.polls.operations.answer_once import Once
from services.polls.storage.answers import Answer
from shared.guard import caller
from shared.runtime.http.body import JSON
from shared.runtime.http.idempotency import idempotency_key


def once_of(request: web.Request, content: bytes) -> Once | None:
    """By what this request is known when it comes again, where it has a key. Raises `BadRequest`."""
    key = idempotency_key(request)
    if key is None:
        return None
    return Once(caller(request).token_id, key, f"{request.method} {request.path}\n".encode() + content)


def kept_response(answer: Answer) -> web.Response:
    """An answer that may have been given before, as it was."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body, content_type=JSON)
