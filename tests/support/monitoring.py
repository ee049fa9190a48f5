"""Read the files for Prometheus and Grafana in `deploy/`."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
RULES: Final = DEPLOY / "prometheus" / "pollgate.rules.yml"
RULE_TESTS: Final = DEPLOY / "prometheus" / "pollgate.test.yml"
PROMETHEUS: Final = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD: Final = DEPLOY / "grafana" / "pollgate.json"

_SELECTOR: Final = re.compile(r"\b((?:pollgate|process)_\w+|up\b|ALERTS\b)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)")
_GROUPING: Final = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_STRING: Final = re.compile(r'"[^"]*"')


class Selector(NamedTuple):
    """A metric that an expression reads, with the labels that it names."""

    name: str
    labels: frozenset[str]


def selectors_of(expression: str) -> list[Selector]:
    """Return the metrics that a PromQL expression reads. Its groupings count as labels of each."""
    plain = _STRING.sub('""', expression)
    grouped = {label.strip() for labels in _GROUPING.findall(plain) for label in labels.split(",") if label.strip()}
    return [
        Selector(name, frozenset(grouped | set(_MATCHER.findall(matchers))))
        for name, matchers in _SELECTOR.findall(plain)
    ]


def alerts() -> list[dict[str, Any]]:
    """Return the alerts."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard, without its rows."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> Iterator[str]:
    """Yield the queries of the dashboard, with values in place of Grafana's variables."""
    for panel in panels():
        for target in panel["targets"]:
            yield (
                re.sub(r"\$__(rate_interval|range)", "5m", target["expr"])
                .replace("$job", ".+")
                .replace("$instance", ".+")
            )


def find_promtool() -> str:
    """Return the path of promtool, or skip the test."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool on the path: install Prometheus (apt install prometheus)")
    return found
