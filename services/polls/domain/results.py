"""The results of a poll, as far as an audience may see them."""

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from services.polls.domain.poll import PollSpec, Settings, Status, in_order
from services.polls.domain.templates import TEMPLATES
from shared.runtime.text.characters import comparable

WithheldReason = Literal["afterVote", "afterClose", "never", "hideAbsoluteNumbers"]


class Tally(Struct, frozen=True):
    """The counted ballots of a poll. `counts` maps option ids to votes; an option without votes may be absent."""

    participants: int
    votes: int
    counts: Mapping[str, int]


class Audience(enum.StrEnum):
    """The group that the reader of results belongs to."""

    PUBLIC = "public"
    """Anyone who may read the poll."""
    VOTER = "voter"
    """A participant who has voted."""
    EVERYTHING = "everything"
    """A reader who sees all results, whatever the settings of the poll."""


class OptionResult(Struct, frozen=True):
    """The result of one option. A withheld value is `None`. Percentages have one decimal, rounded half up.

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
    options = in_order(spec.options)
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
    """Return each percentage, so that equal counts have equal ones. They sum to about 100.0."""
    whole = sum(counts)
    return [_percentage(count, whole) for count in counts]


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
_KEYCAP: Final = re.compile("([0-9])\u20e3")
_TEN: Final = "\U0001f51f"
_ENOUGH_DIGITS: Final = 60
"""Exact for 100 options of 21 digits, each with up to 2**63 votes."""

_SCALES: Final = [
    {comparable(option.title): Decimal(place) for place, option in enumerate(template.spec.options, start=1)}
    for template in TEMPLATES
    if template.scored
]


def _values(titles: Sequence[str]) -> list[Decimal] | None:
    """Return the value of each option, or `None` if the options are not scored.

    Variation selectors do not count: U+FE0F only asks for an emoji presentation (UTS #51). Keycaps are their digits.
    """
    keys = [comparable(title) for title in titles]
    numbers = [_KEYCAP.sub(r"\1", key).replace(_TEN, "10") for key in keys]
    if all(_NUMBER.fullmatch(number) for number in numbers):
        return [Decimal(number) for number in numbers]
    for scale in _SCALES:
        if all(key in scale for key in keys):
            return [scale[key] for key in keys]
    return None
