"""Spans of failures have the kind of an error, and nothing of its message."""

from collections.abc import AsyncGenerator
from typing import Final

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pytest_aiohttp.plugin import AiohttpClient

from shared.contract.token import SECRET_PATTERN, SECRET_START, mint
from shared.runtime.http.application import create_application
from shared.runtime.http.endpoint import Endpoint
from shared.runtime.http.routes import PUBLIC, Route, add_routes
from shared.runtime.postgres.database import Database
from shared.runtime.postgres.database import database as open_database
from shared.runtime.process.redaction import redactor
from shared.runtime.redis.client import redis_client
from shared.runtime.redis.errors import RedisUnavailable
from shared.runtime.traces.current import current_traces, use_traces
from shared.runtime.traces.recorder import start_recording
from tests.support.databases import ClonedDatabase
from tests.support.secrets_in_output import find_secrets

SECRET: Final = mint("pgt")
DATABASE: Final = web.AppKey("database", Database)
REDIS_URL: Final = web.AppKey("redis_url", str)


class Recording:
    """The spans that were exported; all of them after `stop`."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()

    @property
    def exporter(self) -> SpanExporter:
        return self._exporter

    def stop(self) -> dict[str, ReadableSpan]:
        """Return the last span of each name, after all have been exported."""
        current_traces().stop()
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
async def recording() -> AsyncGenerator[Recording, None]:
    """Record what is made during the test."""
    made = Recording()
    with use_traces(start_recording("tests", made.exporter)):
        yield made


async def fail(_request: web.Request) -> web.Response:
    raise RuntimeError(f"no such token: {SECRET}")


async def fail_statement(request: web.Request) -> web.Response:
    await request.app[DATABASE].fetch("-- cast_text: what is no number\nSELECT $1::text::int", SECRET)
    raise AssertionError("the statement should have failed")


async def fail_command(request: web.Request) -> web.Response:
    async with redis_client(request.app[REDIS_URL]) as redis:
        await redis.send("SET", "pollgate:test", SECRET, "EX", 10)
        await redis.send_all([("GET", "pollgate:test")])
        with pytest.raises(RedisUnavailable):
            await redis.send("INCR", "pollgate:test")
    return web.Response(text="ok")


async def test_failures_are_recorded_by_kind_and_without_messages(
    recording: Recording, aiohttp_client: AiohttpClient, database: ClonedDatabase, redis_url: str
) -> None:
    app = create_application({}, redactor(SECRET_PATTERN, SECRET_START))
    routes = {"/fail/{name}": fail, "/statement": fail_statement, "/command": fail_command}
    add_routes(app, [Route("GET", path, Endpoint(handler), PUBLIC) for path, handler in routes.items()])
    async with open_database(database.polls_url, size=1, statement_cache=0) as opened:
        app[DATABASE], app[REDIS_URL] = opened, redis_url
        client = await aiohttp_client(app)
        paths = (f"/fail/{SECRET}?token={SECRET}", f"/statement?token={SECRET}", "/command")
        assert [(await client.get(path)).status for path in paths] == [500, 500, 200]
        await opened.fetch("-- background: outside of any request\nSELECT 1")
    spans = recording.stop()

    failed = spans["GET /fail/{name}"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "500"
    statement = spans["cast_text"]
    assert statement.attributes is not None
    assert statement.attributes["db.response.status_code"] == "22P02"
    assert statement.attributes["error.type"] == "InvalidTextRepresentationError"
    assert statement.parent is not None
    assert statement.parent.span_id == spans["GET /statement"].get_span_context().span_id  # type: ignore[union-attr]
    assert {"SET", "PIPELINE", "INCR"} <= spans.keys()
    assert spans["INCR"].status.status_code is StatusCode.ERROR
    assert "background" not in spans
    for span in spans.values():
        assert not span.events
        assert span.status.description is None
        assert find_secrets(span.to_json()) == []
        assert SECRET[4:] not in span.to_json()
