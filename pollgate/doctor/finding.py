"""What an examination of the stack has found, and how serious it is."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """How serious a finding is: nothing to do, look at it in the next days, act now, or not examined."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "not checked"


class Finding(Struct, frozen=True):
    """One thing that was examined. `part` is where, `check` what; `advice` says what to do unless the state is ok."""

    part: str
    check: str
    state: State
    finding: str
    advice: str = ""


class Examination:
    """Collects the findings about one part."""

    def __init__(self, part: str) -> None:
        self._part = part
        self.findings: list[Finding] = []

    def ok(self, check: str, finding: str) -> None:
        """Add that a check is well."""
        self._add(check, State.OK, finding)

    def warn(self, check: str, finding: str, advice: str) -> None:
        """Add that somebody should look at it in the next days."""
        self._add(check, State.WARNING, finding, advice)

    def fail(self, check: str, finding: str, advice: str) -> None:
        """Add that somebody should act now."""
        self._add(check, State.PROBLEM, finding, advice)

    def skip(self, check: str, reason: str, advice: str) -> None:
        """Add that a check could not be made, and how it could be."""
        self._add(check, State.SKIPPED, reason, advice)

    def judge(self, check: str, finding: str, advice: str, *, warns: bool = False, fails: bool = False) -> None:
        """Add a finding with the state that the conditions give it."""
        state = State.PROBLEM if fails else State.WARNING if warns else State.OK
        self._add(check, state, finding, "" if state is State.OK else advice)

    def _add(self, check: str, state: State, finding: str, advice: str = "") -> None:
        self.findings.append(Finding(self._part, check, state, finding, advice))


def worst_state(findings: Iterable[Finding]) -> State:
    """Return the most serious state among the findings; what was not checked does not count."""
    states = {finding.state for finding in findings}
    return next((state for state in (State.PROBLEM, State.WARNING) if state in states), State.OK)
