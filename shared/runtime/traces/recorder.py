"""Record spans of requests, of SQL statements, of Redis commands and of calls to the token authority.

Names and attributes follow the semantic conventions of OpenTelemetry, with one exception: nothing that a client has
sent is recorded, because it may contain a secret. So there are no URLs, no headers, no arguments of statements, and no
messages of exceptions. A span of a statement or command is recorded only within a request.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context as ContextVars
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from opentelemetry.context import Context, attach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.runtime.http.application import add_log_fields
from shared.runtime.http.request_id import REQUEST_ID
from shared.runtime.postgres.query_metrics import UNNAMED, name_of
from shared.runtime.process.redaction import Redact
from shared.runtime.traces.current import Traces
from shared.runtime.traces.export import Exports, service_resource

T = TypeVar("T")

OTHER_METHOD: Final = "_OTHER"
"""The convention's name of a method that no RFC defines."""
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_TRANSACTION_COMMANDS: Final = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET")
_NO_PARENT: Final = Context()


def start_recording(service: str, exporter: SpanExporter | None = None) -> "RecordedTraces":
    """Return traces that are exported by the SDK's variables, or by `exporter`."""
    provider = TracerProvider(resource=service_resource(service), shutdown_on_exit=False)
    exports = Exports(exporter)
    provider.add_span_processor(exports.processor)
    return RecordedTraces(provider.get_tracer("pollgate"), exports)


class RecordedTraces(Traces):
    """Traces that are exported. Create one instance per process."""

    def __init__(self, tracer: Tracer, exports: Exports) -> None:
        self._tracer = tracer
        self._exports = exports
        self._propagator = TraceContextTextMapPropagator()

    def trace_requests(self, route: str, handler: Handler, redact: Redact) -> Handler:
        """Return a handler that records a span for each request to this route, in the trace of its caller."""
        has_template = route.startswith("/")

        async def traced(request: web.Request) -> web.StreamResponse:
            method = request.method if request.method in hdrs.METH_ALL else OTHER_METHOD
            shown = "HTTP" if method == OTHER_METHOD else method
            span = self._tracer.start_span(
                f"{shown} {route}" if has_template else shown,
                context=self._read_parent(request, redact),
                kind=SpanKind.SERVER,
                attributes={"http.request.method": method, **({"http.route": route} if has_template else {})},
            )
            with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
                try:
                    response = await handler(request)
                except BaseException as error:
                    _mark_failed(span, type(error).__name__)
                    raise
                _finish_request(span, request, response.status)
                return response

        return traced

    def _read_parent(self, request: web.Request, redact: Redact) -> Context:
        """Return the caller's span. A `tracestate` is exported as it is, so one with a secret is left out."""
        parent = request.headers.get(TRACEPARENT)
        if parent is None:
            return _NO_PARENT
        carrier = {TRACEPARENT: parent}
        state = ",".join(request.headers.getall(TRACESTATE, ()))
        if state and redact(state) == state:
            carrier[TRACESTATE] = state
        return self._propagator.extract(carrier, context=_NO_PARENT)

    def note_span_in_log(self, handler: Handler) -> Handler:
        """Return a handler that adds the ids of the current span to the request's log line."""

        async def noted(request: web.Request) -> web.StreamResponse:
            add_log_fields(request, **self.log_fields())
            return await handler(request)

        return noted

    def trace_statements(self, connection_class: type[T]) -> type[T]:
        """Return a subclass of asyncpg's `Connection` that records a span for each statement."""
        record = self._record_statement

        class TracedConnection(connection_class):  # type: ignore[misc, valid-type]
            __slots__ = ()

            async def fetch(self, query: str, *arguments: Any, **options: Any) -> Any:
                return await record(query, lambda: super(TracedConnection, self).fetch(query, *arguments, **options))

            async def fetchrow(self, query: str, *arguments: Any, **options: Any) -> Any:
                return await record(query, lambda: super(TracedConnection, self).fetchrow(query, *arguments, **options))

            async def execute(self, query: str, *arguments: Any, **options: Any) -> Any:
                return await record(query, lambda: super(TracedConnection, self).execute(query, *arguments, **options))

        return TracedConnection

    async def _record_statement(self, query: str, execute: Callable[[], Awaitable[T]]) -> T:
        name = _statement_name(query)
        return await self._record(name, {"db.system.name": "postgresql", "db.query.summary": name}, execute)

    def trace_commands(self, client: T) -> T:
        """Let a Redis client record a span for each command and each pipeline, and return it."""
        traced: Any = client
        execute, pipeline = traced.execute_command, traced.pipeline

        async def execute_command(*arguments: Any, **options: Any) -> Any:
            name = str(arguments[0]).split(" ", 1)[0]
            return await self._record_command(name, lambda: execute(*arguments, **options))

        def traced_pipeline(*arguments: Any, **options: Any) -> Any:
            made = pipeline(*arguments, **options)
            execute_all = made.execute

            async def execute(*arguments: Any, **options: Any) -> Any:
                return await self._record_command("PIPELINE", lambda: execute_all(*arguments, **options))

            made.execute = execute
            return made

        traced.execute_command, traced.pipeline = execute_command, traced_pipeline
        return client

    async def _record_command(self, name: str, execute: Callable[[], Awaitable[T]]) -> T:
        return await self._record(name, {"db.system.name": "redis", "db.operation.name": name}, execute)

    async def _record(self, name: str, attributes: Mapping[str, str], work: Callable[[], Awaitable[T]]) -> T:
        """Do the work in a span, if it belongs to a request that is recorded."""
        if not get_current_span().is_recording():
            return await work()
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                return await work()
            except BaseException as error:
                if (state := getattr(error, "sqlstate", None)) is not None:
                    span.set_attribute("db.response.status_code", str(state))
                _mark_failed(span, type(error).__name__)
                raise

    def trace_calls(self) -> list[aiohttp.TraceConfig]:
        """Return what an aiohttp client needs to record a span for each call and to pass the trace on."""
        calls = aiohttp.TraceConfig()
        calls.on_request_start.append(self._begin_call)
        calls.on_request_end.append(_end_call)
        calls.on_request_exception.append(_fail_call)
        return [calls]

    async def _begin_call(
        self, _session: aiohttp.ClientSession, call: SimpleNamespace, sent: aiohttp.TraceRequestStartParams
    ) -> None:
        template = call.trace_request_ctx
        if template is None:
            call.span = INVALID_SPAN
            return
        attributes: dict[str, str | int] = {"http.request.method": sent.method}
        if sent.url.host:
            attributes.update({"server.address": sent.url.host, "server.port": sent.url.port or 0})
        attributes["url.template"] = template
        call.span = self._tracer.start_span(f"{sent.method} {template}", kind=SpanKind.CLIENT, attributes=attributes)
        self._propagator.inject(sent.headers, context=set_span_in_context(call.span))

    def batch_context(self) -> ContextVars:
        """Return a context with the current span only: shared work is in the trace of the request that began it."""
        context, span = ContextVars(), get_current_span()
        if span is not INVALID_SPAN:
            context.run(attach, set_span_in_context(span, _NO_PARENT))
        return context

    def log_fields(self) -> Mapping[str, str]:
        """Return `trace_id` and `span_id` of the current span, as W3C Trace Context writes them, if there is one."""
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def stop(self) -> None:
        """Export what is left."""
        self._exports.stop()


def _finish_request(span: Span, request: web.Request, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if REQUEST_ID in request:
        span.set_attribute("pollgate.request_id", request[REQUEST_ID])
    if status >= 500:
        _mark_failed(span, str(status))


def _mark_failed(span: Span, kind: str) -> None:
    """Record the kind of an error. Its message may repeat what a client has sent."""
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


async def _end_call(
    _session: aiohttp.ClientSession, call: SimpleNamespace, received: aiohttp.TraceRequestEndParams
) -> None:
    status = received.response.status
    call.span.set_attribute("http.response.status_code", status)
    if status >= 400:
        _mark_failed(call.span, str(status))
    call.span.end()


async def _fail_call(
    _session: aiohttp.ClientSession, call: SimpleNamespace, failed: aiohttp.TraceRequestExceptionParams
) -> None:
    _mark_failed(call.span, type(failed.exception).__name__)
    call.span.end()


def _statement_name(query: str) -> str:
    """Return the name of a statement; of one without a name, what it does to a transaction."""
    name = name_of(query)
    if name == UNNAMED:
        command = query.lstrip().split(maxsplit=1)[0].rstrip(";").upper() if query.strip() else ""
        return command if command in _TRANSACTION_COMMANDS else UNNAMED
    return name
