"""What a run of the benches of polls has found out, as a table for people and as JSON for programs."""

from collections.abc import Sequence

from msgspec import Struct

from bench.table import aligned

_HEAD = ("part", "what", "figure", "unit", "limit", "")


class Figure(Struct, frozen=True):
    """One number, and what it has to be at least, or at most, where it is held to something."""

    part: str
    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether it is beyond its limit."""
        return (self.least is not None and self.value < self.least) or (
            self.most is not None and self.value > self.most
        )

    def cells(self) -> tuple[str, ...]:
        """The figure in the table."""
        limit = "" if self.least is None else f"≥ {self.least:g}"
        limit = limit if self.most is None else f"≤ {self.most:g}"
        return (self.part, self.what, _short(self.value), self.unit, limit, "MISSED" if self.is_missed else "")


class Measured(Struct, frozen=True):
    """Everything that a run has found out, and on what."""

    machine: str
    cores: int
    python: str
    postgres: str
    redis: str
    figures: Sequence[Figure]

    def text(self) -> str:
        """A line about the conditions, and the table."""
        about = f"{self.machine}, {self.cores} cores; Python {self.python}; {self.postgres}; {self.redis}"
        return "\n".join((about, "", *aligned([_HEAD, *(figure.cells() for figure in self.figures)])))


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
