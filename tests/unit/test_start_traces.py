"""Which variables of OpenTelemetry switch traces on."""

import sys

import pytest
import structlog

from shared.runtime.process.environment import SettingsError
from shared.runtime.traces.current import Traces
from shared.runtime.traces.start import find_asking_variable, start_traces

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "asking"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "polls", "OTEL_TRACES_SAMPLER": "always_on"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        (ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1/v1/traces"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_variable_that_asks_for_traces_is_found(environ: dict[str, str], asking: str | None) -> None:
    assert find_asking_variable(environ) == asking


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
    ],
)
def test_exporter_or_protocol_that_is_not_supported_is_refused_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        start_traces("polls", {**ENDPOINT, variable: value})


def test_service_without_opentelemetry_logs_a_warning_and_traces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shared.runtime.traces.recorder", None)

    with structlog.testing.capture_logs() as logs:
        traces = start_traces("polls", ENDPOINT)

    assert type(traces) is Traces
    (line,) = logs
    assert "pip install 'pollgate[otel]'" in line["event"]
    assert (line["log_level"], line["variable"]) == ("warning", "OTEL_EXPORTER_OTLP_ENDPOINT")
