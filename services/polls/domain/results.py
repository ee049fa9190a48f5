"""The results of a poll, as far as an audience may see them."""

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.poll import PollSpec, Settings, Status
from services.polls.domain.templates import TEMPLATES

WithheldReason = Literal["afterVote", "afterClose", "never", "hideAbsoluteNumbers"]


class Tally(Struct, frozen=True):
    """The counted ballots of a poll. `counts` maps option ids to votes; an option without votes may be absent."""

    participants: int
    votes: int
    counts: Mapping[str, int]


class Audience(enum.Enum):
    """The group that the reader of results belongs to."""

    PUBLIC = "public"
    """Anyone who may read the poll."""
    VOTER = "voter"
    """A participant who has voted."""
    EVERYTHING = "everything"
    """A reader who sees all results, whatever the settings of the poll."""


class OptionResult(Struct, frozen=True):
    """The result of one option. A withheld value is `None`. Percentages have one decimal.

    `percentage` is of all votes, `participant_percentage` of the participants. Options with equally many votes share a
    `rank`, and the rank after it is skipped: 1, 2, 2, 4.
    """

    id: str
    title: str
    order: int
    votes: int | None = None
    percentage: float | None = None
    participant_percentage: float | None = None
    rank: int | None = None


class Results(Struct, frozen=True):
    """The results of a poll at one moment, with the options sorted by `order`. A withheld value is `None`.

    `average` has one decimal. It is also `None` before the first vote, and unless the titles of the options are all
    numbers or all from one scored template.
    """

    status: Status
    calculated_at: datetime
    withheld_reason: WithheldReason | None
    options: tuple[OptionResult, ...]
    participants: int | None = None
    votes: int | None = None
    average: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether the results will not change, because the poll is closed."""
        return self.status == "closed"

    @property
    def is_visible(self) -> bool:
        """Whether percentages are shown, perhaps without the numbers of votes."""
        return self.withheld_reason in {None, "hideAbsoluteNumbers"}


def results_of(spec: PollSpec, tally: Tally, *, now: datetime, is_closed: bool, audience: Audience) -> Results:
    """Return the results, as far as `audience` may see them. Ignore counts of options that the poll does not have."""
    options = sorted(spec.options, key=lambda option: option.order)
    heading = Results(
        status="closed" if is_closed else "open",
        calculated_at=now,
        withheld_reason=withheld_reason(spec.settings, is_closed=is_closed, audience=audience),
        options=tuple(OptionResult(option.id, option.title, option.order) for option in options),
    )
    return _add_figures(heading, tally) if heading.is_visible else heading


def withheld_reason(settings: Settings, *, is_closed: bool, audience: Audience) -> WithheldReason | None:
    """Return the setting that withholds results from the audience, or `None` if it may see everything."""
    if audience is Audience.EVERYTHING:
        return None
    visibility = settings.results_visibility
    if (
        visibility == "alwaysPublic"
        or (visibility == "afterVote" and audience is Audience.VOTER)
        or (visibility == "afterClose" and is_closed)
    ):
        return "hideAbsoluteNumbers" if settings.hide_absolute_numbers else None
    return visibility


def _add_figures(heading: Results, tally: Tally) -> Results:
    """Return the results with the numbers and percentages that are not withheld."""
    counts = [tally.counts.get(option.id, 0) for option in heading.options]
    shows_numbers = heading.withheld_reason is None
    figures = zip(heading.options, counts, _percentages(counts), _ranks(counts), strict=True)
    return replace(
        heading,
        participants=tally.participants if shows_numbers else None,
        votes=tally.votes if shows_numbers else None,
        average=_average([option.title for option in heading.options], counts),
        options=tuple(
            replace(
                option,
                votes=count if shows_numbers else None,
                percentage=percentage,
                participant_percentage=_percentage(count, tally.participants),
                rank=rank,
            )
            for option, count, percentage, rank in figures
        ),
    )


def _percentages(counts: Sequence[int]) -> list[float]:
    """Return the percentages by the largest remainder method: they sum to 100.0, unless all counts are 0."""
    whole = sum(counts)
    if whole == 0:
        return [0.0] * len(counts)
    tenths = [count * 1000 // whole for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda index: counts[index] * 1000 % whole, reverse=True)
    for index in by_remainder[: 1000 - sum(tenths)]:
        tenths[index] += 1
    return [each / 10 for each in tenths]


def _percentage(count: int, whole: int) -> float:
    """Return the percentage, rounded half up; 0.0 if `whole` is 0."""
    return (2000 * count + whole) // (2 * whole) / 10 if whole else 0.0


def _ranks(counts: Sequence[int]) -> list[int]:
    first: dict[int, int] = {}
    for place, count in enumerate(sorted(counts, reverse=True), start=1):
        first.setdefault(count, place)
    return [first[count] for count in counts]


def _average(titles: Sequence[str], counts: Sequence[int]) -> float | None:
    """Return the mean of the options' values, weighted by votes, rounded half away from zero."""
    values = _values(titles)
    if values is None or not any(counts):
        return None
    with localcontext(prec=_ENOUGH_DIGITS):
        total = sum((value * count for value, count in zip(values, counts, strict=True)), Decimal())
        mean = (total / sum(counts)).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return float(mean) or 0.0


_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
_ENOUGH_DIGITS: Final = 60
"""Exact for 100 options of 21 digits, each with up to 2**63 votes."""

_SCALES: Final = [
    {option.title: Decimal(place) for place, option in enumerate(template.spec.options, start=1)}
    for template in TEMPLATES
    if template.scored
]


def _values(titles: Sequence[str]) -> list[Decimal] | None:
    """Return the value of each option, or `None` if the options are not scored."""
    if all(_NUMBER.fullmatch(title) for title in titles):
        return [Decimal(title) for title in titles]
    for scale in _SCALES:
        if all(title in scale for title in titles):
            return [scale[title] for title in titles]
    return None
