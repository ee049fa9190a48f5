"""Write one structured line per event to standard error: JSON, or text for people if it is a terminal.

Every line, including those of libraries, is redacted before it is written.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog

from shared.runtime.process.redaction import Redact

Processor = structlog.types.Processor


def configure_logs(service: str, redact: Redact, stream: TextIO | None = None) -> None:
    """Write the logs of structlog and of the standard library to `stream`, by default standard error."""
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _add_service(service),
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


def _add_service(service: str) -> Processor:
    def add(_logger: Any, _name: str, event: Any) -> Mapping[str, Any]:
        event["service"] = service
        return event  # type: ignore[no-any-return]

    return add
