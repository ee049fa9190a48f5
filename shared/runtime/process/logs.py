"""Write one structured line per event to standard error: JSON, or text for people if it is a terminal.

Every line, including those of libraries, is redacted before it is written.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog

from shared.runtime.process.log_output import LogOutput
from shared.runtime.process.redaction import Redact

Processor = structlog.types.Processor

CURRENT_REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the request that this task handles. Every line that the task logs has it."""

_log = structlog.get_logger()


class _JsonLines:
    """Encodes the lines about requests. There is one per request, so they do not take structlog's way."""

    def __init__(self, service: str, output: LogOutput) -> None:
        self._service = service
        self._output = output

    def add(self, fields: Mapping[str, object]) -> None:
        line = {
            "event": "request",
            **fields,
            "level": "info",
            "timestamp": datetime.now(UTC),
            "service": self._service,
        }
        self._output.add(_ENCODER.encode(line).decode())


_ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)
_json_lines: _JsonLines | None = None


def configure_logs(service: str, redact: Redact, stream: TextIO | None = None) -> None:
    """Write the logs of structlog and of the standard library to `stream`, by default standard error."""
    global _json_lines  # noqa: PLW0603 - the configuration of a process, as structlog's and logging's are
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
    _json_lines = None if is_terminal else _JsonLines(service, output)


def log_request(fields: Mapping[str, object]) -> None:
    """Log a request with these fields, within 0.1 s. At a terminal, and before `configure_logs`, at once."""
    if _json_lines is None:
        _log.info("request", **fields)
    else:
        _json_lines.add(fields)


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
