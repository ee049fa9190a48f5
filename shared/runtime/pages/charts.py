"""Charts that the server draws as SVG. The template shows the same numbers in a table."""

from collections.abc import Sequence
from typing import Final, NamedTuple

WIDTH: Final = 600
HEIGHT: Final = 96
_GAP: Final = 0.25
"""The part of a bar's room that stays empty."""
_LEAST: Final = 2.0
"""The height of the smallest bar that is not zero, so that it can be seen."""


class Bar(NamedTuple):
    """One bar with two parts, in units of the chart. `label` says what it shows."""

    label: str
    x: float
    width: float
    lower_y: float
    lower_height: float
    upper_y: float
    upper_height: float


class BarChart(NamedTuple):
    """Bars from left to right. `highest` is the value at the top."""

    bars: Sequence[Bar]
    highest: int


def draw_bars(values: Sequence[tuple[str, int, int]]) -> BarChart:
    """Return a chart of stacked bars: of each, a label, the lower value and the upper one on top of it."""
    highest = max((lower + upper for _, lower, upper in values), default=0)
    room = WIDTH / max(len(values), 1)
    return BarChart([_bar(index * room, room, *value, highest) for index, value in enumerate(values)], highest)


def _bar(x: float, room: float, label: str, lower: int, upper: int, highest: int) -> Bar:
    lower_height, upper_height = (_height(each, highest) for each in (lower, upper))
    lower_y = HEIGHT - lower_height
    upper_y = max(0.0, lower_y - upper_height)
    gap = room * _GAP
    rounded = (round(each, 1) for each in (x + gap / 2, room - gap, lower_y, lower_height, upper_y, upper_height))
    return Bar(label, *rounded)


def _height(value: int, highest: int) -> float:
    return max(_LEAST, value / highest * HEIGHT) if value else 0.0
