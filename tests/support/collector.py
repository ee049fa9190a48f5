"""A collector of traces: an OTLP/HTTP receiver that decodes what services export."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared.runtime.process.serve import listen


class ReceivedSpan(NamedTuple):
    """A span, with the service that exported it. Ids are in hexadecimal digits; `parent` is empty for a root."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    status: int
    events: int


class Collector:
    """What was received."""

    def __init__(self) -> None:
        self.base = ""
        self.spans: list[ReceivedSpan] = []
        self.texts: list[str] = []
        """Each request as text, with all that it contains."""
        self.headers: list[str] = []

    async def receive(self, request: web.Request) -> web.Response:
        """Store a request of `POST /v1/traces`."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        self.texts.append(str(sent))
        self.headers.append(str(dict(request.headers)))
        for resource in sent.resource_spans:
            attributes = _read_attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_read_span(str(attributes.get("service.name")), span) for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def find(self, service: str, name: str) -> list[ReceivedSpan]:
        """Return the spans of a service with this name."""
        return [span for span in self.spans if (span.service, span.name) == (service, name)]

    async def wait_for(self, is_complete: Callable[[], object]) -> None:
        """Wait until enough was received."""
        async with asyncio.timeout(20):
            while not is_complete():
                await asyncio.sleep(0.05)


@asynccontextmanager
async def run_collector() -> AsyncGenerator[Collector, None]:
    """Run a collector during the block."""
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    async with listen(app, "127.0.0.1", 0) as port:
        collector.base = f"http://127.0.0.1:{port}"
        yield collector


def _read_span(service: str, span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_read_attributes(span.attributes),
        status=span.status.code,
        events=len(span.events),
    )


def _read_attributes(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
