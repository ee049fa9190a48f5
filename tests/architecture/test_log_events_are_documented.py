"""Every log event is in docs/logs.md, and each that asks for a person is in the runbook."""

import re
from pathlib import Path
from typing import Final

from tests.support.log_events import LogEvent, find_log_events

DOCS: Final = Path(__file__).parents[2] / "docs"
RUNBOOK: Final = DOCS / "runbook.md"
_ROW: Final = re.compile(r"^\| `([^`]+)` \| (\w+) \|([^|]*)\|([^|]*)\|$", re.MULTILINE)
_UNLISTED_FIELDS: Final = {"exc_info", "request_id", "service"}
"""They are among the fields of every line; `exc_info` is shown as `exception`."""


def test_every_event_is_listed_with_its_level_and_fields() -> None:
    events = {event for event in find_log_events() if event.text != "request"}
    rows = {(text, level): fields for text, level, fields, _ in listed_events()}

    assert {(event.text, event.level) for event in events} == rows.keys()
    for event in events:
        listed = set(re.findall(r"`(\w+)`", rows[event.text, event.level]))
        assert set(event.fields) - _UNLISTED_FIELDS <= listed, event


def test_every_error_is_in_the_runbook() -> None:
    runbook = RUNBOOK.read_text(encoding="utf-8")
    errors = [event for event in find_log_events() if event.level in ("error", "critical")]

    assert len(errors) > 10
    assert [event for event in errors if f"`{event.text}`" not in runbook] == []


def test_every_warning_leads_to_the_runbook_or_says_that_nothing_has_to_be_done() -> None:
    runbook = RUNBOOK.read_text(encoding="utf-8")
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)}

    for text, level, _, advice in listed_events():
        linked = re.fullmatch(r"\[runbook\]\(runbook\.md#([\w-]+)\)", advice)
        if level == "info":
            assert advice == "", text
        elif linked:
            assert linked[1] in anchors, text
            assert f"`{text}`" in runbook, text
        else:
            assert level == "warning", text
            assert advice.startswith("nothing"), text


def listed_events() -> list[tuple[str, str, str, str]]:
    """Return text, level, fields and advice of each event in docs/logs.md."""
    rows = _ROW.findall((DOCS / "logs.md").read_text(encoding="utf-8"))
    return [(text, level, fields.strip(), advice.strip()) for text, level, fields, advice in rows]


def test_events_are_found_where_they_are_logged() -> None:
    events = find_log_events()

    assert LogEvent("task crashed", "critical", ("task", "exc_info"), "") in [e._replace(place="") for e in events]
    assert any(event.text.startswith("Redis is away") and event.level == "error" for event in events)
