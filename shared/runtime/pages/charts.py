"""Charts that the server draws as SVG. The template shows the same numbers in a table."""

import math
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


class Slice(NamedTuple):
    """One slice of a pie, as an SVG path around the origin with the radius `RADIUS`. A whole pie has no path.

    `position` is that of its value. `x` and `y` are the middle of the slice, for a label; `share` is its part of the
    pie, from 0 to 1.
    """

    position: int
    path: str
    x: float
    y: float
    share: float

    @property
    def is_whole(self) -> bool:
        """Whether the slice is the whole pie, which is a circle: an arc cannot end where it begins."""
        return not self.path


RADIUS: Final = 100


def draw_pie(values: Sequence[float]) -> Sequence[Slice]:
    """Return a slice for each value that is not zero, clockwise from the top."""
    total = sum(values)
    if not total:
        return ()
    slices, start = [], 0.0
    for position, value in enumerate(values):
        if value:
            share = value / total
            slices.append(_slice(position, start, share))
            start += share
    return slices


def _slice(position: int, start: float, share: float) -> Slice:
    if share >= 1:
        return Slice(position, "", 0.0, 0.0, 1.0)
    (x1, y1), (x2, y2) = _point(start, RADIUS), _point(start + share, RADIUS)
    middle = _point(start + share / 2, RADIUS * _LABEL_AT)
    path = f"M0 0 L{x1} {y1} A{RADIUS} {RADIUS} 0 {int(share > _HALF)} 1 {x2} {y2} Z"
    return Slice(position, path, *middle, share)


_LABEL_AT: Final = 0.65
_HALF: Final = 0.5


def _point(turn: float, radius: float) -> tuple[float, float]:
    """Return the point at a part of a turn from the top."""
    angle = 2 * math.pi * turn
    return round(math.sin(angle) * radius, 2), round(-math.cos(angle) * radius, 2)
