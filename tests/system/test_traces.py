"""The services as processes, with traces: they export to a collector by OTLP, and work without one."""

import asyncio
import secrets
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp
import msgspec
import psutil
import pytest

from shared.contract.token import mint
from tests.support.collector import Collector, ReceivedSpan, run_collector
from tests.support.databases import ClonedDatabase
from tests.support.ports import take_port
from tests.support.processes import Service, authority_settings, polls_settings, run_service
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.own_database

EXPORT_SOON: Final = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT: Final = f"00-{TRACE}-00f067aa0ba902b7-01"
SERVER, CLIENT = 2, 3
ERROR: Final = 2


class Stack(NamedTuple):
    """Both services as processes, and callers of them."""

    authority: Authority
    polls: Polls
    services: tuple[Service, Service]


@asynccontextmanager
async def run_stack(
    database: ClonedDatabase, redis_url: str, folder: Path, output: Path, traces: dict[str, str]
) -> AsyncGenerator[Stack, None]:
    """Run both services with the variables of traces."""
    async with (
        run_service("token_authority", authority_settings(database, redis_url, folder) | traces, output) as issuing,
        run_service("polls", polls_settings(database, redis_url, issuing.base) | traces, output) as serving,
        aiohttp.ClientSession() as session,
    ):
        authority, polls = Authority(session, issuing.base), Polls(session, serving.base)
        authority.admin_key = (folder / "admin.key").read_text().strip()
        polls.endpoint, polls.token = await authority.get_endpoint(), (await authority.issue())["token"]
        yield Stack(authority, polls, (issuing, serving))


@pytest.fixture
async def collector() -> AsyncGenerator[Collector, None]:
    async with run_collector() as running:
        yield running


@pytest.fixture
async def stack(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path, collector: Collector
) -> AsyncGenerator[Stack, None]:
    traces = {**EXPORT_SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base}
    async with run_stack(database, redis_url, tmp_path, output, traces) as running:
        yield running
        await asyncio.gather(*(stop(service) for service in running.services))


async def test_trace_of_the_caller_leads_through_polls_to_the_authority_and_to_statements(
    stack: Stack, collector: Collector
) -> None:
    await wait_for_lease(stack.polls)
    poll_id = (await stack.polls.create_poll())["id"]
    other = stack.polls.with_token((await stack.authority.issue())["token"])

    assert (await other.v1("GET", f"/polls/{poll_id}", headers={"traceparent": PARENT})).status == 200
    await collector.wait_for(lambda: {"pollgate-polls", "pollgate-token-authority"} <= services(collector))

    await collector.wait_for(lambda: in_trace(collector, "pollgate-polls", "GET /v1/polls/{id}"))
    served = in_trace(collector, "pollgate-polls", "GET /v1/polls/{id}")
    assert served.parent == "00f067aa0ba902b7"
    assert served.kind == SERVER
    assert served.attributes["http.route"] == "/v1/polls/{id}"
    assert served.attributes["http.response.status_code"] == 200
    asked = in_trace(collector, "pollgate-polls", "POST /oauth2/introspect")
    assert (asked.kind, asked.parent) == (CLIENT, served.id)
    introspected = in_trace(collector, "pollgate-token-authority", "POST /oauth2/introspect")
    assert (introspected.kind, introspected.parent) == (SERVER, asked.id)
    statement = in_trace(collector, "pollgate-polls", "select_poll")
    assert statement.parent == served.id
    assert statement.attributes == {"db.system.name": "postgresql", "db.query.summary": "select_poll"}
    syncs = collector.find("pollgate-polls", "POST /v1/guards/{guard_id}/sync")
    assert syncs
    assert not [span for span in collector.spans if "livez" in span.name or "readyz" in span.name]


def services(collector: Collector) -> set[str]:
    """Return the services that have exported a span of the caller's trace."""
    return {span.service for span in collector.spans if span.trace == TRACE}


def in_trace(collector: Collector, service: str, name: str) -> Any:
    """Return a span of the caller's trace, or `None`."""
    return next((span for span in collector.find(service, name) if span.trace == TRACE), None)


async def wait_for_lease(polls: Polls) -> None:
    """Wait until polls answers from its cache."""
    async with asyncio.timeout(10):
        while (await polls("GET", "/readyz")).json["checks"]["lease"] != "ok":
            await asyncio.sleep(0.05)


async def test_log_lines_have_the_ids_of_the_span(stack: Stack, collector: Collector) -> None:
    assert (await stack.polls.v1("GET", "/polls", headers={"traceparent": PARENT})).status == 200
    await collector.wait_for(lambda: in_trace(collector, "pollgate-polls", "GET /v1/polls"))
    span: ReceivedSpan = in_trace(collector, "pollgate-polls", "GET /v1/polls")

    async with asyncio.timeout(5):
        while TRACE not in (text := stack.services[1].log.read_text()):
            await asyncio.sleep(0.05)
    lines = [msgspec.json.decode(line) for line in text.splitlines()]
    (line,) = [line for line in lines if line["event"] == "request" and line.get("trace_id") == TRACE]
    assert line["span_id"] == span.id
    assert line["request_id"] == span.attributes["pollgate.request_id"]


async def test_no_span_has_a_secret_wherever_it_is_sent(stack: Stack, collector: Collector) -> None:
    """The canary: each of these requests has a secret where a careless attribute or event would show it."""
    polls, authority = stack.polls, stack.authority
    poll_id = (await polls.create_poll())["id"]
    made_up = [mint("pgt") for _ in range(4)] + [mint("pga"), mint("pgs"), mint("pgl"), polls.token]
    for secret in made_up:
        everywhere = {
            "Authorization": f"Bearer {secret}",
            "User-Agent": f"agent/{secret}",
            "X-Request-ID": secret,
            "Idempotency-Key": secret,
            "traceparent": PARENT,
            "tracestate": f"vendor={secret}",
            "baggage": f"token={secret}",
            "If-None-Match": f'"{secret}"',
            "Referer": f"https://example.com/?token={secret}",
            "Content-Type": f"application/json; a={secret}",
        }
        for caller in (polls, authority):
            for method, path in (
                ("GET", f"/v1/polls/{poll_id}?token={secret}"),
                ("GET", f"/v1/polls/{quote(secret)}"),
                ("POST", f"/v1/polls?token={secret}"),
                ("PROPFIND", f"/{secret}/{secret}?{secret}={secret}"),
                ("GET", f"/p/{secret}"),
                ("PUT", f"/v1/polls/{poll_id}/votes/{secret}"),
                ("POST", f"/x1/{secret}?token={secret}"),
                ("POST", f"/v1/tokens/{secret}/revoke"),
                ("POST", "/oauth2/introspect"),
                ("GET", f"/oauth2/%70gt_{secret[4:]}"),
            ):
                body = msgspec.json.encode({"title": secret, "token": secret, "\0": secret, "optionIds": [secret]})
                await caller(method, path, headers=everywhere, data=body)
    await polls.v1("POST", "/polls", {"title": "a\0b", "options": [polls.token] * 2})
    marker = secrets.token_hex(16)
    last = {"traceparent": f"00-{marker}-00f067aa0ba902b7-01"}
    for caller in (polls, authority):
        await caller("GET", "/docs", headers=last)

    def is_complete() -> bool:
        return {span.service for span in collector.spans if span.trace == marker} == {
            "pollgate-polls",
            "pollgate-token-authority",
        }

    await collector.wait_for(is_complete)

    assert len([span for span in collector.spans if span.trace == TRACE]) >= 2 * 10 * len(made_up)
    assert find_secrets("\n".join(collector.texts)) == []
    assert not [secret for secret in made_up if any(secret[4:] in text for text in collector.texts)]
    assert not [span for span in collector.spans if span.events]
    assert {span.status for span in collector.spans if span.kind == SERVER} <= {0, ERROR}


async def test_unreachable_collector_neither_delays_nor_fails_requests_and_is_logged_once(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    endpoint = f"http://user:hidden-word@127.0.0.1:{take_port()}"
    traces = {**EXPORT_SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    async with run_stack(database, redis_url, tmp_path, output, traces) as stack:
        async with asyncio.timeout(30):
            while "Traces are not exported" not in stack.services[1].log.read_text():
                assert (await stack.polls.v1("GET", "/polls")).status == 200
                await asyncio.sleep(0.05)
            for _ in range(60):  # several further attempts to export
                assert (await stack.polls.v1("GET", "/polls")).status == 200
                await asyncio.sleep(0.05)
        stopped_at = time.monotonic()
        await asyncio.gather(*(stop(service) for service in stack.services))
        assert time.monotonic() - stopped_at < 10

    for service in stack.services:
        text = service.log.read_text()
        assert text.count("Traces are not exported") == 1
        assert "hidden-word" not in text
        assert "Traceback" not in text


async def test_workers_export_their_last_spans_when_they_stop(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path, collector: Collector
) -> None:
    settings = {
        **polls_settings(database, redis_url, authority.base),
        "POLLS_WORKERS": "2",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.base}/v1/traces",
        "OTEL_SERVICE_NAME": "my-polls",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    connector = aiohttp.TCPConnector(force_close=True)
    async with run_service("polls", settings, output) as running, aiohttp.ClientSession(connector=connector) as session:
        polls = Polls(session, running.base)
        polls.token = (await authority.issue())["token"]
        for _ in range(20):
            assert (await polls.v1("GET", "/templates")).status == 200
        assert collector.spans == []
        await stop(running)

    assert len(collector.find("my-polls", "GET /v1/templates")) == 20
    assert "deployment.environment.name" in collector.texts[0]


async def test_nothing_of_opentelemetry_is_loaded_while_traces_are_off(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path
) -> None:
    variables = {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    settings = {**polls_settings(database, redis_url, authority.base), **variables}
    async with run_service("polls", settings, output) as running:
        loaded = {mapped.path for mapped in psutil.Process(running.process.pid).memory_maps()}
        assert any("asyncpg" in path for path in loaded)
        assert not [path for path in loaded if "upb" in path]  # protobuf's library, which the exporter loads


async def test_sampler_that_samples_nothing_exports_nothing(
    database: ClonedDatabase, redis_url: str, authority: Authority, output: Path, collector: Collector
) -> None:
    settings = {
        **polls_settings(database, redis_url, authority.base),
        **EXPORT_SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base,
        "OTEL_TRACES_SAMPLER": "always_off",
    }
    async with run_service("polls", settings, output) as running, aiohttp.ClientSession() as session:
        polls = Polls(session, running.base)
        polls.token = (await authority.issue())["token"]
        assert (await polls.v1("GET", "/polls", headers={"traceparent": PARENT})).status == 200
        await stop(running)

    assert collector.texts == []


async def stop(service: Service) -> None:
    """End a service while this process goes on to receive what it exports."""
    service.signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.process.wait, 15) == 0
