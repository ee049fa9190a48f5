"""What is traced in this process: nothing, unless `start_traces` was called before the application was made.

What is traced is wrapped once, when it is made, so a request costs nothing more while traces are off.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from aiohttp import TraceConfig
    from aiohttp.typedefs import Handler

    from shared.runtime.process.redaction import Redact

T = TypeVar("T")

_NO_FIELDS: Final[Mapping[str, str]] = {}


class Traces:
    """Traces nothing: each method returns what it was given."""

    def trace_requests(self, _route: str, handler: "Handler", _redact: "Redact") -> "Handler":
        """Return a handler that records a span for each request to this route."""
        return handler

    def note_span_in_log(self, handler: "Handler") -> "Handler":
        """Return a handler that adds the ids of the current span to the request's log line."""
        return handler

    def trace_statements(self, connection_class: type[T]) -> type[T]:
        """Return a subclass of asyncpg's `Connection` that records a span for each statement."""
        return connection_class

    def trace_commands(self, client: T) -> T:
        """Let a Redis client record a span for each command, and return it."""
        return client

    def trace_calls(self) -> "list[TraceConfig]":
        """Return what an aiohttp client needs to record a span for each call and to pass the trace on.

        A call is named by its `trace_request_ctx`, the template of its path. Without one, it has no span.
        """
        return []

    def batch_context(self) -> Context:
        """Return an empty context for work that several requests share."""
        return Context()

    def log_fields(self) -> Mapping[str, str]:
        """Return `trace_id` and `span_id` of the current span, if there is one."""
        return _NO_FIELDS

    def stop(self) -> None:
        """Export what is left."""


class _Current:
    """The traces of this process."""

    def __init__(self) -> None:
        self.traces = Traces()


_current: Final = _Current()


def current_traces() -> Traces:
    """Return the traces of this process."""
    return _current.traces


@contextmanager
def use_traces(traces: Traces) -> Generator[None, None, None]:
    """Let what is made in the block be traced; export what is left at its end."""
    before, _current.traces = _current.traces, traces
    try:
        yield
    finally:
        _current.traces = before
        traces.stop()
