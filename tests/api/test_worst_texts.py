"""A long text in a field that accepts only some texts is refused without keeping the event loop busy."""

import re
import time

import msgspec
import pytest
from msgspec import inspect

from services.polls.routes import ROUTES as POLLS_ROUTES
from services.token_authority.routes import ROUTES as AUTHORITY_ROUTES
from shared.runtime.http.routes import Route
from tests.support.literal_fields import LiteralField, find_literal_fields
from tests.support.processor_time import TRIES
from tests.support.stack import CLIENT_SECRET, Authority, Caller, Polls, basic_auth

pytestmark = pytest.mark.shared_services

TEXTS = [piece * (60_000 // len(piece)) for piece in (" - at `$", " - at `key` in `$", "`$.a[1]", "[...]", "'")]
UNKNOWN = "123e4567-e89b-42d3-a456-426614174000"
MOST_S = 0.5
"""Processor time of client and service, which share the thread. Refusing such a body takes some milliseconds."""


def fields_of(routes: tuple[Route, ...]) -> list[tuple[Route, LiteralField]]:
    """Return each field with a fixed set of texts in the JSON bodies of these routes."""
    return [
        (route, field)
        for route in routes
        if (operation := route.endpoint.operation) is not None and operation.body is not None
        for field in find_literal_fields(inspect.type_info(operation.body))
    ]


async def send(caller: Caller, route: Route, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
    """Send the body and return the status and the seconds of processor time."""
    path = route.path
    if isinstance(caller, Polls):
        path = path.replace(
            "{endpoint}", f"{caller.endpoint}?type=polls&workspace=PLAT&content=PLAT-1&pollId={UNKNOWN}"
        )
    path = re.sub(r"\{\w+\}", UNKNOWN, path)
    started = time.thread_time()
    answer = await caller(route.method, path, data=body, headers={"Content-Type": "application/json", **headers})
    return answer.status, time.thread_time() - started


async def is_refused_quickly(caller: Caller, route: Route, body: bytes, headers: dict[str, str]) -> bool:
    """Return whether the body is refused within `MOST_S` in one of several tries, because the machine may be busy."""
    for _ in range(TRIES):
        status, took_s = await send(caller, route, body, headers)
        assert status in (400, 422)
        if took_s < MOST_S:
            return True
    return False


async def test_worst_text_in_each_literal_field_of_polls_is_refused_quickly(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    fields = fields_of(POLLS_ROUTES)
    assert fields

    for route, field in fields:
        with subtests.test(route=f"{route.method} {route.path}", field=field.path):
            for text in TEXTS:
                body = msgspec.json.encode(field.body_with(text))
                headers = {"Authorization": f"Bearer {polls.token}"}
                assert await is_refused_quickly(polls, route, body, headers)


async def test_worst_text_in_each_literal_field_of_the_authority_is_refused_quickly(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    fields = fields_of(AUTHORITY_ROUTES)
    assert fields

    for route, field in fields:
        with subtests.test(route=f"{route.method} {route.path}", field=field.path):
            is_for_services = "service" in route.access.security
            headers = basic_auth("polls", CLIENT_SECRET) if is_for_services else authority.admin
            for text in TEXTS:
                body = msgspec.json.encode(field.body_with(text))
                assert await is_refused_quickly(authority, route, body, headers)
