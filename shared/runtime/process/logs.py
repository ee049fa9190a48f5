"""Write one structured line per event to standard error: JSON, or text for people if it is a terminal.

Every line, including those of libraries, is redacted before it is written.
"""

import logging
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog
from msgspec import Struct

from shared.runtime.process.log_output import LogOutput
from shared.runtime.process.redaction import Redact
from shared.runtime.traces.current import current_traces

Processor = structlog.types.Processor

CURRENT_REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the request that this task handles. Every line that the task logs has it."""

_log = structlog.get_logger()


class _Requests:
    """Where the lines about requests go. There is one for each request, so they do not take structlog's way."""

    def __init__(self) -> None:
        self.output: LogOutput | None = None
        self.service = ""


_requests: Final = _Requests()


def configure_logs(service: str, redact: Redact, stream: TextIO | None = None) -> None:
    """Write the logs of structlog and of the standard library to `stream`, by default standard error."""
    stream = stream or sys.stderr
    output, is_terminal = LogOutput(stream, redact), stream.isatty()
    shared: list[Processor] = [
        _add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _add_service(service),
    ]
    render: Processor = structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    _requests.output, _requests.service = None if is_terminal else output, service


def log_request(
    request_id: str, method: str, route: str, status: int, seconds: float, fields: Mapping[str, object]
) -> None:
    """Log a request, within 0.1 s. At a terminal, and before `configure_logs`, at once.

    `fields` are more fields of the line. `route` must be the declared one, and not what was requested.
    """
    line = RequestLine(time.time(), request_id, method, route, status, seconds, fields)
    if _requests.output is None:
        _log.info("request", **line.to_fields())
    else:
        _requests.output.add(line)


class RequestLine(Struct, frozen=True):
    """The line about a request, at a time in seconds since 1970. Its fields are only made when it is written."""

    at: float
    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    more: Mapping[str, object]

    def to_fields(self) -> dict[str, object]:
        """Return the fields that are particular to this request."""
        return {
            "request_id": self.request_id,
            "method": self.method if self.method.isalpha() else "?",
            "route": self.route,
            "status": self.status,
            "duration_ms": round(self.seconds * 1000, 2),
            **self.more,
        }

    def to_line(self) -> dict[str, object]:
        """Return all fields."""
        return {
            "event": "request",
            **self.to_fields(),
            "level": "info",
            "timestamp": datetime.fromtimestamp(self.at, UTC),
            "service": _requests.service,
        }


def _add_ids(_logger: Any, _name: str, event: Any) -> Mapping[str, Any]:
    request_id = CURRENT_REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    event.update(current_traces().log_fields())
    return event  # type: ignore[no-any-return]


def _add_service(service: str) -> Processor:
    def add(_logger: Any, _name: str, event: Any) -> Mapping[str, Any]:
        event["service"] = service
        return event  # type: ignore[no-any-return]

    return add
