"""Export spans in a thread of their own. A collector that cannot be reached neither delays nor fails a request.

Spans wait in a queue of limited length (`OTEL_BSP_MAX_QUEUE_SIZE`) and are dropped if it is full.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from shared.runtime.process.metrics import find_version

STOP_LIMIT_S: Final = 3.0
"""How long the end of the process waits for the last spans."""
_UNKNOWN_SERVICE: Final = "unknown_service"
_SILENCED: Final = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")
"""Loggers that report each failed attempt; `_ReportingExporter` reports the outage once."""

_log = structlog.get_logger()


class Exports:
    """The export of a process's spans: by OTLP over HTTP, as the SDK's variables say, or by another exporter."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        for name in _SILENCED:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._exporter = _ReportingExporter(exporter or OTLPSpanExporter())
        self.processor = BatchSpanProcessor(self._exporter)

    def stop(self) -> None:
        """Export what is left, within `STOP_LIMIT_S`."""
        thread = threading.Thread(target=self.processor.shutdown, name="last spans", daemon=True)
        thread.start()
        thread.join(STOP_LIMIT_S)
        if thread.is_alive():
            _log.warning("The last spans could not be exported", limit_s=STOP_LIMIT_S)


class _ReportingExporter(SpanExporter):
    """Logs once when spans can no longer be exported, and once when they can be again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans. A failure is a result, not an exception."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever it is, only spans are lost
            self._note(type(error).__name__)
            return SpanExportResult.FAILURE
        self._note(None if result is SpanExportResult.SUCCESS else "not accepted, or not reachable")
        return result

    def shutdown(self) -> None:
        """Give up what is being exported."""
        self._exporter.shutdown()

    def _note(self, failure: str | None) -> None:
        if failure is not None and not self._has_failed:
            _log.warning(
                "Traces are not exported and get lost; requests are not affected. Start the collector, or correct "
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector=collector_address(self._exporter),
                error=failure,
            )
        elif failure is None and self._has_failed:
            _log.info("Traces are exported again", collector=collector_address(self._exporter))
        self._has_failed = failure is not None


def collector_address(exporter: SpanExporter) -> str:
    """Return host and port of the collector, never a user or a password."""
    try:
        parts = urlsplit(getattr(exporter, "_endpoint", ""))
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "?"
    return f"{parts.hostname or '?'}:{port}"


def service_resource(service: str) -> Resource:
    """Return the resource by `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`; by default it is named `service`."""
    resource = Resource({"service.version": find_version()}).merge(Resource.create())
    if str(resource.attributes.get(SERVICE_NAME, _UNKNOWN_SERVICE)).startswith(_UNKNOWN_SERVICE):
        return resource.merge(Resource({SERVICE_NAME: f"pollgate-{service}"}))
    return resource
