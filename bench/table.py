"""What was measured, as a table for people and as JSON for programs."""

import math
from collections.abc import Sequence

from msgspec import Struct

_HEAD = ("guards", "situation", "n", "answer: median", "p99", "max", "first refusal: median", "p99", "max")


class Spread(Struct, frozen=True):
    """How a number of durations is spread, in milliseconds; the p99 is by nearest rank."""

    median: float
    p99: float
    max: float

    @classmethod
    def of(cls, durations_ms: Sequence[float]) -> "Spread":
        """The spread of these."""
        ordered = sorted(durations_ms)
        median, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
        return cls(round(median, 2), round(p99, 2), round(ordered[-1], 2))


class Row(Struct, frozen=True):
    """One situation with one number of guards: `revocations` in each of the two passes."""

    guards: int
    situation: str
    revocations: int
    answer_ms: Spread
    first_refusal_ms: Spread


class Measured(Struct, frozen=True):
    """Everything that a run has found out, and on what."""

    machine: str
    cores: int
    python: str
    postgres: str
    redis: str
    lease_s: float
    load_rate: float
    rows: Sequence[Row]

    def text(self) -> str:
        """A line about the conditions, and the table."""
        about = (
            f"{self.machine}, {self.cores} cores; Python {self.python}; {self.postgres}; {self.redis}; "
            f"lease {self.lease_s:g} s; n revocations a pass; load {self.load_rate:g} reads/s over all guards; "
            "times in ms"
        )
        return "\n".join((about, "", *aligned([_HEAD, *map(_cells, self.rows)])))


def aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines, in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]


def _cells(row: Row) -> tuple[str, ...]:
    spreads = (row.answer_ms, row.first_refusal_ms)
    times = [f"{value:.1f}" for spread in spreads for value in (spread.median, spread.p99, spread.max)]
    return (str(row.guards), row.situation, str(row.revocations), *times)
