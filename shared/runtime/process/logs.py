"""Write one structured line per event to standard error: JSON, or text for people if it is a terminal.

Every line, including those of libraries, is redacted before it is written.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog

from shared.runtime.process.log_output import LogOutput
from shared.runtime.process.redaction import Redact

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
        _add_request_id,
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


def log_request(fields: dict[str, object]) -> None:
    """Log a request with these fields, within 0.1 s. At a terminal, and before `configure_logs`, at once.

    Other fields are added to `fields`, which must not change after that.
    """
    if _requests.output is None:
        _log.info("request", **fields)
        return
    fields["event"] = "request"
    fields["level"] = "info"
    fields["timestamp"] = datetime.now(UTC)
    fields["service"] = _requests.service
    _requests.output.add(fields)


def _add_request_id(_logger: Any, _name: str, event: Any) -> Mapping[str, Any]:
    request_id = CURRENT_REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event  # type: ignore[no-any-return]


def _add_service(service: str) -> Processor:
    def add(_logger: Any, _name: str, event: Any) -> Mapping[str, Any]:
        event["service"] = service
        return event  # type: ignore[no-any-return]

    return add
