"""Traces by OpenTelemetry, if the `OTEL_*` variables ask for them."""
