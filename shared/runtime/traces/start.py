"""Decide by the standard variables of OpenTelemetry whether this process is traced.

`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` ask for traces, unless
`OTEL_SDK_DISABLED` is `true`. The SDK itself reads the other variables.
"""

from collections.abc import Mapping
from typing import Final

import structlog

from shared.runtime.process.environment import SettingsError
from shared.runtime.traces.current import Traces

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_ASKING: Final = (EXPORTER, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL: Final = "http/protobuf"

_log = structlog.get_logger()


def start_traces(service: str, environ: Mapping[str, str]) -> Traces:
    """Return the traces that the variables ask for. Nothing of OpenTelemetry is imported otherwise.

    Without the packages, log a warning and trace nothing. Raise `SettingsError` for an exporter or a protocol that is
    not supported.
    """
    asking = find_asking_variable(environ)
    if asking is None:
        return Traces()
    _require_supported(environ)
    try:
        from shared.runtime.traces.recorder import start_recording  # noqa: PLC0415 - an extra, imported if needed
    except ModuleNotFoundError as error:
        _log.warning(
            "nothing is traced: OpenTelemetry is not installed; run pip install 'pollgate[otel]' or unset the variable",
            variable=asking,
            module=error.name,
        )
        return Traces()
    return start_recording(service)


def find_asking_variable(environ: Mapping[str, str]) -> str | None:
    """Return the name of the variable that asks for traces, or `None` if none does or they are switched off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or environ.get(EXPORTER, "").strip() == "none":
        return None
    return next((name for name in _ASKING if environ.get(name, "").strip()), None)


def _require_supported(environ: Mapping[str, str]) -> None:
    if environ.get(EXPORTER, "").strip() not in ("", "otlp"):
        raise SettingsError(f"{EXPORTER} is wrong: expected 'otlp' or 'none'")
    for name in _PROTOCOLS:
        protocol = environ.get(name, "").strip()
        if protocol == PROTOCOL:
            return
        if protocol:
            raise SettingsError(f"{name} is wrong: expected '{PROTOCOL}', which collectors receive on port 4318")
