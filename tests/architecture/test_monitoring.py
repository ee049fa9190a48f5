"""The alerts, their tests and the dashboard are complete and can be read by Prometheus."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import yaml

from tests.support.monitoring import (
    DASHBOARD,
    PROMETHEUS,
    RULE_TESTS,
    RULES,
    alerts,
    dashboard_expressions,
    find_promtool,
    panels,
)

SEVERITIES: Final = {"critical", "warning", "info"}
RUNBOOK: Final = Path(__file__).parents[2] / "docs" / "runbook.md"


def test_rules_and_configuration_are_valid() -> None:
    for command, file in (("rules", RULES), ("config", PROMETHEUS)):
        run_promtool("check", command, file.name, folder=file.parent)


def test_each_alert_fires_and_is_silent_as_its_tests_say() -> None:
    run_promtool("test", "rules", RULE_TESTS.name, folder=RULE_TESTS.parent)


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    tests = yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
    checks = [check for each in tests for check in each["alert_rule_test"]]
    firing = {check["alertname"] for check in checks if check["exp_alerts"]}
    silent = {check["alertname"] for check in checks if not check["exp_alerts"]}

    assert firing == silent == {alert["alert"] for alert in alerts()}


def test_each_alert_has_a_severity_a_summary_and_a_section_in_the_runbook() -> None:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = [heading.lower().replace(" ", "-") for heading in headings]

    for alert in alerts():
        name = alert["alert"]
        assert alert["labels"]["severity"] in SEVERITIES, name
        assert len(alert["annotations"]["summary"]) > 20, name
        assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
        assert anchors.count(name.lower()) == 1, name


def test_each_panel_has_a_title_a_description_a_unit_and_the_chosen_datasource() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job", "instance"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)

    for panel in panels():
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            is_one_series = target["expr"].startswith(("max(", "sum("))
            assert target["legendFormat"] or panel["type"] in ("stat", "table") or is_one_series, panel["title"]


def test_each_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:query_{number}", "expr": expression}
        for number, expression in enumerate(dashboard_expressions())
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    run_promtool("check", "rules", str(file), folder=tmp_path)


def run_promtool(*arguments: str, folder: Path) -> None:
    """Run promtool; fail with what it prints."""
    done = subprocess.run(
        [find_promtool(), *arguments], check=False, cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
