"""What votes come to, to the last tenth of a percent, and how much of it is shown to whom."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.polls.domain.poll import Option, PollSpec, ResultsVisibility, Settings
from services.polls.domain.results import Audience, Results, Tally, results_of
from services.polls.domain.templates import TEMPLATES, Template, find_template

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
MANUAL = [8, 12, 11, 15, 10]

_VISIBILITIES: tuple[ResultsVisibility, ...] = ("alwaysPublic", "afterVote", "afterClose", "never")
_COUNTS = st.lists(st.integers(0, 10**9) | st.integers(0, 9), min_size=1, max_size=100)


def asked(titles: Sequence[str], settings: Settings | None = None) -> PollSpec:
    """A poll with options of these titles, whose ids are a, b, c, …"""
    options = (Option(_id(index), title, index) for index, title in enumerate(titles))
    return PollSpec("Which?", tuple(options), settings=settings or Settings())


def counted(counts: Sequence[int], participants: int | None = None) -> Tally:
    """These votes for a, b, c, …, each by a participant of their own unless told."""
    votes = sum(counts)
    return Tally(votes if participants is None else participants, votes, {_id(i): n for i, n in enumerate(counts)})


def results(draft: PollSpec, tally: Tally, sight: Audience = Audience.PUBLIC, *, is_closed: bool = False) -> Results:
    """The results now."""
    return results_of(draft, tally, now=NOW, is_closed=is_closed, audience=sight)


def shown(counts: Sequence[int], participants: int | None = None) -> Results:
    """The results of options that have so many votes."""
    return results(asked([_id(i) for i in range(len(counts))]), counted(counts, participants))


def average(titles: Sequence[str], counts: Sequence[int]) -> float | None:
    """What is said of options with these titles and votes."""
    return results(asked(titles), counted(counts)).average


def tenths(percentage: float | None) -> int:
    """A percentage that has one decimal, in whole tenths."""
    assert percentage is not None
    whole = round(percentage * 10)
    assert percentage == whole / 10
    return whole


def _id(index: int) -> str:
    return f"{chr(ord('a') + index % 26)}{index // 26 or ''}"


def test_the_manuals_example_comes_out() -> None:
    told = results(asked("12345"), counted(MANUAL))

    assert (told.status, told.final, told.calculated_at) == ("open", False, NOW)
    assert (told.visible, told.withheld_reason) == (True, None)
    assert (told.participants, told.votes, told.average) == (56, 56, 3.1)
    assert [option.votes for option in told.options] == MANUAL
    assert [option.percentage for option in told.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.participant_percentage for option in told.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.rank for option in told.options] == [5, 2, 3, 1, 4]


def test_options_stand_in_their_order_and_equal_ones_as_they_were_given() -> None:
    options = (Option("c", "C", 7), Option("b", "B", -1), Option("d", "D", 7), Option("a", "A", 0))

    told = results(PollSpec("Which?", options), Tally(3, 3, {"d": 2, "b": 1}))

    assert [(each.id, each.title, each.order, each.votes) for each in told.options] == [
        ("b", "B", -1, 1),
        ("a", "A", 0, 0),
        ("c", "C", 7, 0),
        ("d", "D", 7, 2),
    ]


def test_a_poll_without_votes_has_zeros_and_no_average() -> None:
    told = results(asked("12"), Tally(0, 0, {}))

    assert (told.participants, told.votes, told.average) == (0, 0, None)
    assert [(each.votes, each.percentage, each.participant_percentage, each.rank) for each in told.options] == [
        (0, 0.0, 0.0, 1),
        (0, 0.0, 0.0, 1),
    ]


def test_a_closed_poll_has_final_results() -> None:
    told = results(asked("12"), counted([1, 2]), is_closed=True)

    assert (told.status, told.final) == ("closed", True)


@pytest.mark.parametrize(
    ("counts", "percentages"),
    [
        ([1, 1, 1], [33.4, 33.3, 33.3]),
        ([2, 2, 2, 1], [28.6, 28.6, 28.5, 14.3]),
        ([1, 1, 1, 1, 1, 1], [16.7, 16.7, 16.7, 16.7, 16.6, 16.6]),
        ([0, 5, 0], [0.0, 100.0, 0.0]),
        ([1, 10**9], [0.0, 100.0]),
        ([0, 0, 0], [0.0, 0.0, 0.0]),
    ],
)
def test_what_rounding_leaves_goes_to_the_largest_remainders_and_of_equal_ones_to_the_first(
    counts: list[int], percentages: list[float]
) -> None:
    told = shown(counts)

    assert [option.percentage for option in told.options] == percentages


@given(_COUNTS)
def test_percentages_sum_to_a_hundred_where_there_are_votes_and_are_less_than_a_tenth_off(counts: list[int]) -> None:
    percentages = [tenths(option.percentage) for option in shown(counts).options]

    assert sum(percentages) == (1000 if any(counts) else 0)
    assert all(
        abs(percentage - Fraction(count * 1000, sum(counts) or 1)) < 1
        for percentage, count in zip(percentages, counts, strict=True)
    )


@given(_COUNTS)
def test_more_votes_are_never_a_smaller_percentage_nor_a_worse_rank(counts: list[int]) -> None:
    options = sorted(shown(counts).options, key=lambda option: option.votes or 0)

    for fewer, more in itertools.pairwise(options):
        assert fewer.votes == more.votes or tenths(fewer.percentage) <= tenths(more.percentage)
        assert tenths(fewer.participant_percentage) <= tenths(more.participant_percentage)
        assert (fewer.votes == more.votes) == (fewer.rank == more.rank)
        assert (fewer.rank or 0) >= (more.rank or 0)


@given(_COUNTS, st.data())
def test_a_further_vote_never_makes_an_options_percentage_smaller(counts: list[int], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(counts) - 1))
    more = [count + (place == index) for place, count in enumerate(counts)]

    before, after = shown(counts).options[index], shown(more).options[index]

    assert tenths(before.percentage) <= tenths(after.percentage)


@given(_COUNTS, st.randoms(use_true_random=False))
def test_neither_the_order_of_the_counts_nor_zeros_in_them_matter(counts: list[int], random: Random) -> None:
    tally = counted(counts)
    pairs = [pair for pair in tally.counts.items() if pair[1]]
    random.shuffle(pairs)

    other = Tally(tally.participants, tally.votes, dict(pairs))

    draft = asked([str(index) for index in range(len(counts))])
    assert results(draft, other) == results(draft, tally)


@pytest.mark.parametrize(
    ("counts", "ranks"),
    [
        ([9, 5, 5, 1], [1, 2, 2, 4]),
        ([1, 5, 9, 5], [4, 2, 1, 2]),
        ([3, 3, 3], [1, 1, 1]),
        ([0, 2, 0], [2, 1, 2]),
    ],
)
def test_equal_options_share_a_rank_and_leave_out_the_next(counts: list[int], ranks: list[int]) -> None:
    assert [option.rank for option in shown(counts).options] == ranks


@pytest.mark.parametrize(
    ("counts", "participants", "percentages"),
    [
        ([3, 3, 1], 4, [75.0, 75.0, 25.0]),
        ([1, 2], 3, [33.3, 66.7]),
        ([1], 16, [6.3]),
        ([1, 1999], 2000, [0.1, 100.0]),
        ([1, 2000], 2001, [0.0, 100.0]),
        ([57], 1000, [5.7]),
        ([0], 0, [0.0]),
    ],
)
def test_shares_of_the_participants_are_rounded_each_by_itself_a_half_up(
    counts: list[int], participants: int, percentages: list[float]
) -> None:
    told = shown(counts, participants)

    assert [option.participant_percentage for option in told.options] == percentages


@pytest.mark.parametrize(
    ("titles", "counts", "expected"),
    [
        (["1", "2", "3", "4", "5"], MANUAL, 3.1),
        (["0", "10"], [1, 1], 5.0),
        (["1.05"], [1], 1.1),
        (["2.25"], [7], 2.3),
        (["-2.25"], [7], -2.3),
        (["-0.04", "0"], [3, 1], 0.0),
        (["-0"], [1], 0.0),
        (["1", "2"], [10**9, 1], 1.0),
        (["0.1", "0.2"], [1, 1], 0.2),
        (["007", "1"], [1, 0], 7.0),
        (["99999999999999.9"], [10**9], 99999999999999.9),
        (["999999999999999.999999", "1"], [10**9, 0], 1e15),
        (["-999999999999999.999999", "999999999999999.999999"], [10**9, 10**9], 0.0),
        (["-999999999999999.899998", "999999999999999"], [10**9, 10**9], -0.4),
        (["-999999999999999.9", "999999999999999"], [2**62, 2**62], -0.5),
        (["-999999999999999.9", "999999999999999", "0"], [2**62, 2**62, 1], -0.4),
    ],
)
def test_an_average_of_numbers_is_exact_to_the_tenth(titles: list[str], counts: list[int], expected: float) -> None:
    told = average(titles, counts)

    assert told == expected
    assert not str(told).startswith("-0.0")


@pytest.mark.parametrize(
    "title",
    ["", "one", " 2", "2 ", "+2", "2.", ".5", "1e3", "2,5", "٣", "２", "1" * 16, "1.1234567", "2\n", "--2", "NaN"],
)
def test_one_title_that_is_no_plain_number_takes_the_average_away(title: str) -> None:
    assert average(["1", title], [3, 4]) is None


@given(st.lists(st.tuples(st.decimals(-(10**9), 10**9, places=6), st.integers(0, 10**9)), min_size=1, max_size=100))
def test_an_average_agrees_with_one_in_fractions(rated: list[tuple[object, int]]) -> None:
    titles, counts = [f"{value:f}" for value, _ in rated], [count for _, count in rated]

    told = average(titles, counts)

    if not any(counts):
        assert told is None
        return
    total = sum((Fraction(title) * count for title, count in zip(titles, counts, strict=True)), Fraction())
    exact = total / sum(counts)
    away_from_zero = int(abs(exact) * 10 + Fraction(1, 2)) * (1 if exact > 0 else -1)
    assert told == away_from_zero / 10


@pytest.mark.parametrize("offered", TEMPLATES, ids=lambda each: each.id)
def test_a_template_has_an_average_where_it_is_scored(offered: Template) -> None:
    titles = [option.title for option in offered.spec.options]

    assert average(titles, [1] * len(titles)) == (3.0 if offered.scored else None)


@pytest.mark.parametrize("template_id", ["score-1-to-5", "stars", "emoji", "hearts"])
def test_options_of_a_scored_template_count_by_their_place_in_it(template_id: str) -> None:
    titles = [option.title for option in find_template(template_id).spec.options]

    assert average(titles, MANUAL) == 3.1
    assert average(titles[::-1], MANUAL) == 2.9
    assert average([titles[4], titles[1]], [1, 1]) == 3.5


@pytest.mark.parametrize("titles", [["⭐", "❤️"], ["⭐", "1"], ["⭐", "⭐⭐⭐⭐⭐⭐"], ["😀", "good"], ["Yes", "No"]])
def test_options_of_several_scales_or_of_none_have_no_average(titles: list[str]) -> None:
    assert average(titles, [1, 1]) is None


@pytest.mark.parametrize(
    ("visibility", "is_closed", "sight", "reason"),
    [
        ("alwaysPublic", False, Audience.PUBLIC, None),
        ("alwaysPublic", True, Audience.VOTER, None),
        ("afterVote", False, Audience.PUBLIC, "afterVote"),
        ("afterVote", True, Audience.PUBLIC, "afterVote"),
        ("afterVote", False, Audience.VOTER, None),
        ("afterVote", False, Audience.EVERYTHING, None),
        ("afterClose", False, Audience.PUBLIC, "afterClose"),
        ("afterClose", False, Audience.VOTER, "afterClose"),
        ("afterClose", True, Audience.PUBLIC, None),
        ("afterClose", False, Audience.EVERYTHING, None),
        ("never", False, Audience.PUBLIC, "never"),
        ("never", True, Audience.VOTER, "never"),
        ("never", False, Audience.EVERYTHING, None),
    ],
)
def test_a_poll_says_who_sees_its_results_when(
    visibility: ResultsVisibility, is_closed: bool, sight: Audience, reason: str | None
) -> None:
    draft = asked("12345", Settings(results_visibility=visibility))

    told = results(draft, counted(MANUAL), sight, is_closed=is_closed)

    assert (told.withheld_reason, told.visible) == (reason, reason is None)
    assert (told.votes == 56) == told.visible


@given(
    st.sampled_from(_VISIBILITIES),
    st.booleans(),
    st.booleans(),
    st.sampled_from([Audience.PUBLIC, Audience.VOTER]),
    _COUNTS,
)
def test_what_is_withheld_is_the_same_whatever_the_votes(
    visibility: ResultsVisibility, hidden: bool, is_closed: bool, sight: Audience, counts: list[int]
) -> None:
    settings = Settings(results_visibility=visibility, hide_absolute_numbers=hidden)
    draft = asked([str(index) for index in range(len(counts))], settings)

    told = results(draft, counted(counts), sight, is_closed=is_closed)

    if not told.visible:
        assert told == results(draft, Tally(0, 0, {}), sight, is_closed=is_closed)
        assert (told.participants, told.votes, told.average) == (None, None, None)
        assert all(
            (each.votes, each.percentage, each.participant_percentage, each.rank) == (None,) * 4
            for each in told.options
        )


@pytest.mark.parametrize("sight", [Audience.PUBLIC, Audience.VOTER])
def test_where_absolute_numbers_are_hidden_shares_are_shown(sight: Audience) -> None:
    draft = asked("12345", Settings(hide_absolute_numbers=True))

    told = results(draft, counted(MANUAL), sight)

    assert (told.visible, told.withheld_reason) == (True, "hideAbsoluteNumbers")
    assert (told.participants, told.votes, told.average) == (None, None, 3.1)
    assert [option.votes for option in told.options] == [None] * 5
    assert [option.percentage for option in told.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.participant_percentage for option in told.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.rank for option in told.options] == [5, 2, 3, 1, 4]


def test_hidden_numbers_of_withheld_results_are_withheld_for_its_visibility() -> None:
    draft = asked("12", Settings(results_visibility="never", hide_absolute_numbers=True))

    told = results(draft, counted([1, 2]))

    assert (told.visible, told.withheld_reason) == (False, "never")


@given(st.sampled_from(_VISIBILITIES), st.booleans(), st.booleans(), _COUNTS)
def test_who_sees_everything_sees_it_whatever_the_settings(
    visibility: ResultsVisibility, hidden: bool, is_closed: bool, counts: list[int]
) -> None:
    titles = [str(index) for index in range(len(counts))]
    settings = Settings(results_visibility=visibility, hide_absolute_numbers=hidden)

    told = results(asked(titles, settings), counted(counts), Audience.EVERYTHING, is_closed=is_closed)

    assert told == results(asked(titles), counted(counts), is_closed=is_closed)


@given(_COUNTS, st.integers(0, 10**9), st.dictionaries(st.text(max_size=3), st.integers(0, 10**9)))
def test_any_counts_have_results(counts: list[int], participants: int, others: dict[str, int]) -> None:
    tally = counted(counts, participants)
    stray = {f"no option {option_id}": count for option_id, count in others.items()}

    told = results(asked([str(index) for index in range(len(counts))]), tally)

    assert [option.votes for option in told.options] == counts
    assert told == results(
        asked([str(index) for index in range(len(counts))]), Tally(participants, tally.votes, {**stray, **tally.counts})
    )
