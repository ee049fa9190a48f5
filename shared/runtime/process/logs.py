"""One structured line an event, on standard error: JSON in containers and files, readable at a terminal.

Every line, also those of the libraries, passes through the redactor before it is written.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog

from shared.runtime.process.redaction import Redact

Processor = structlog.types.Processor


def configure_logs(service: str, redact: Redact, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's logs to `stream`, standard error by default."""
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _name_the_service(service),
    ]
    render: Processor = structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render,
                lambda _logger, _name, line: redact(str(line)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _name_the_service(service: str) -> Processor:
    def add(_logger: Any, _name: str, event: Any) -> Mapping[str, Any]:
        event["service"] = service
        return event  # type: ignore[no-any-return]

    return add
