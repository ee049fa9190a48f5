"""Results are exact to a tenth of a percent, and withheld as the settings of the poll require."""

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


def poll_spec(titles: Sequence[str], settings: Settings | None = None) -> PollSpec:
    """Return a poll with options of these titles and the ids a, b, c, …"""
    options = (Option(_id(index), title, index) for index, title in enumerate(titles))
    return PollSpec("Which?", tuple(options), settings=settings or Settings())


def tally_of(counts: Sequence[int], participants: int | None = None) -> Tally:
    """Return a tally of these votes for a, b, c, …; by default there is one participant per vote."""
    votes = sum(counts)
    return Tally(votes if participants is None else participants, votes, {_id(i): n for i, n in enumerate(counts)})


def results(spec: PollSpec, tally: Tally, audience: Audience = Audience.PUBLIC, *, is_closed: bool = False) -> Results:
    """Return the results at `NOW`."""
    return results_of(spec, tally, now=NOW, is_closed=is_closed, audience=audience)


def results_for(counts: Sequence[int], participants: int | None = None) -> Results:
    """Return the results of options with these votes."""
    return results(poll_spec([_id(i) for i in range(len(counts))]), tally_of(counts, participants))


def average(titles: Sequence[str], counts: Sequence[int]) -> float | None:
    """Return the average of options with these titles and votes."""
    return results(poll_spec(titles), tally_of(counts)).average


def tenths(percentage: float | None) -> int:
    """Return a percentage in tenths. Assert that it has one decimal."""
    assert percentage is not None
    whole = round(percentage * 10)
    assert percentage == whole / 10
    return whole


def _id(index: int) -> str:
    return f"{chr(ord('a') + index % 26)}{index // 26 or ''}"


def test_results_of_manual_example_are_reproduced() -> None:
    result = results(poll_spec("12345"), tally_of(MANUAL))

    assert (result.status, result.is_final, result.calculated_at) == ("open", False, NOW)
    assert (result.is_visible, result.withheld_reason) == (True, None)
    assert (result.participants, result.votes, result.average) == (56, 56, 3.1)
    assert [option.votes for option in result.options] == MANUAL
    assert [option.percentage for option in result.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.participant_percentage for option in result.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.rank for option in result.options] == [5, 2, 3, 1, 4]


def test_options_are_sorted_by_order_and_stable() -> None:
    options = (Option("c", "C", 7), Option("b", "B", -1), Option("d", "D", 7), Option("a", "A", 0))

    result = results(PollSpec("Which?", options), Tally(3, 3, {"d": 2, "b": 1}))

    assert [(each.id, each.title, each.order, each.votes) for each in result.options] == [
        ("b", "B", -1, 1),
        ("a", "A", 0, 0),
        ("c", "C", 7, 0),
        ("d", "D", 7, 2),
    ]


def test_results_without_votes_are_zero_and_have_no_average() -> None:
    result = results(poll_spec("12"), Tally(0, 0, {}))

    assert (result.participants, result.votes, result.average) == (0, 0, None)
    assert [(each.votes, each.percentage, each.participant_percentage, each.rank) for each in result.options] == [
        (0, 0.0, 0.0, 1),
        (0, 0.0, 0.0, 1),
    ]


def test_results_of_closed_poll_are_final() -> None:
    result = results(poll_spec("12"), tally_of([1, 2]), is_closed=True)

    assert (result.status, result.is_final) == ("closed", True)


@pytest.mark.parametrize(
    ("counts", "percentages"),
    [
        ([1, 1, 1], [33.3, 33.3, 33.3]),
        ([2, 2, 2, 1], [28.6, 28.6, 28.6, 14.3]),
        ([1, 1, 1, 1, 1, 1], [16.7, 16.7, 16.7, 16.7, 16.7, 16.7]),
        ([1, 1999], [0.1, 100.0]),
        ([0, 5, 0], [0.0, 100.0, 0.0]),
        ([1, 10**9], [0.0, 100.0]),
        ([0, 0, 0], [0.0, 0.0, 0.0]),
    ],
)
def test_percentages_are_rounded_half_up(counts: list[int], percentages: list[float]) -> None:
    result = results_for(counts)

    assert [option.percentage for option in result.options] == percentages


@given(_COUNTS)
def test_equal_votes_have_equal_percentages_that_differ_by_half_a_tenth_at_most(counts: list[int]) -> None:
    percentages = [tenths(option.percentage) for option in results_for(counts).options]

    assert len(set(zip(counts, percentages, strict=True))) == len(set(counts))
    assert all(
        abs(percentage - Fraction(count * 1000, sum(counts) or 1)) <= Fraction(1, 2)
        for percentage, count in zip(percentages, counts, strict=True)
    )


@given(_COUNTS)
def test_option_with_more_votes_has_no_smaller_percentage_or_lower_rank(counts: list[int]) -> None:
    options = sorted(results_for(counts).options, key=lambda option: option.votes or 0)

    for fewer, more in itertools.pairwise(options):
        assert fewer.votes == more.votes or tenths(fewer.percentage) <= tenths(more.percentage)
        assert tenths(fewer.participant_percentage) <= tenths(more.participant_percentage)
        assert (fewer.votes == more.votes) == (fewer.rank == more.rank)
        assert (fewer.rank or 0) >= (more.rank or 0)


@given(_COUNTS, st.data())
def test_additional_vote_does_not_decrease_percentage_of_option(counts: list[int], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(counts) - 1))
    more = [count + (place == index) for place, count in enumerate(counts)]

    before, after = results_for(counts).options[index], results_for(more).options[index]

    assert tenths(before.percentage) <= tenths(after.percentage)


@given(_COUNTS, st.randoms(use_true_random=False))
def test_order_of_counts_and_zeros_do_not_change_results(counts: list[int], random: Random) -> None:
    tally = tally_of(counts)
    pairs = [pair for pair in tally.counts.items() if pair[1]]
    random.shuffle(pairs)

    other = Tally(tally.participants, tally.votes, dict(pairs))

    spec = poll_spec([str(index) for index in range(len(counts))])
    assert results(spec, other) == results(spec, tally)


@pytest.mark.parametrize(
    ("counts", "ranks"),
    [
        ([9, 5, 5, 1], [1, 2, 2, 4]),
        ([1, 5, 9, 5], [4, 2, 1, 2]),
        ([3, 3, 3], [1, 1, 1]),
        ([0, 2, 0], [2, 1, 2]),
    ],
)
def test_options_with_equal_votes_share_rank_and_skip_next(counts: list[int], ranks: list[int]) -> None:
    assert [option.rank for option in results_for(counts).options] == ranks


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
def test_participant_percentages_are_rounded_half_up(
    counts: list[int], participants: int, percentages: list[float]
) -> None:
    result = results_for(counts, participants)

    assert [option.participant_percentage for option in result.options] == percentages


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
def test_average_of_numbers_is_exact_to_the_tenth(titles: list[str], counts: list[int], expected: float) -> None:
    result = average(titles, counts)

    assert result == expected
    assert not str(result).startswith("-0.0")


@pytest.mark.parametrize(
    "title",
    ["", "one", "1 2", "+2", "2.", ".5", "1e3", "2,5", "٣", "２", "1" * 16, "1.1234567", "2\n3", "--2", "NaN"],
)
def test_options_with_title_that_is_no_plain_number_have_no_average(title: str) -> None:
    assert average(["1", title], [3, 4]) is None


STAR, STAR_EMOJI, HEART, HEART_EMOJI = "\u2b50", "\u2b50\ufe0f", "\u2764", "\u2764\ufe0f"


@pytest.mark.parametrize(
    "titles",
    [
        [STAR, STAR * 2],
        [STAR_EMOJI, STAR_EMOJI * 2],
        [STAR_EMOJI, STAR + STAR_EMOJI],
        [HEART, HEART * 2],
        [HEART_EMOJI, HEART_EMOJI * 2],
        [HEART + "\ufe0e", HEART_EMOJI + HEART],
        ["1", "2 "],
        ["\u3000" + "1", "2\u200b"],
        ["1\ufe0f\u20e3", "2\u20e3"],
    ],
)
def test_presentation_and_outer_blanks_of_titles_do_not_change_average(titles: list[str]) -> None:
    assert average(titles, [1, 3]) == 1.8


def test_average_of_keycaps_includes_ten() -> None:
    assert average(["9\ufe0f\u20e3", "\U0001f51f"], [1, 1]) == 9.5


@given(st.lists(st.tuples(st.decimals(-(10**9), 10**9, places=6), st.integers(0, 10**9)), min_size=1, max_size=100))
def test_average_equals_average_of_fractions(rated: list[tuple[object, int]]) -> None:
    titles, counts = [f"{value:f}" for value, _ in rated], [count for _, count in rated]

    result = average(titles, counts)

    if not any(counts):
        assert result is None
        return
    total = sum((Fraction(title) * count for title, count in zip(titles, counts, strict=True)), Fraction())
    exact = total / sum(counts)
    away_from_zero = int(abs(exact) * 10 + Fraction(1, 2)) * (1 if exact > 0 else -1)
    assert result == away_from_zero / 10


@pytest.mark.parametrize("offered", TEMPLATES, ids=lambda each: each.id)
def test_template_has_average_only_if_scored(offered: Template) -> None:
    titles = [option.title for option in offered.spec.options]

    assert average(titles, [1] * len(titles)) == (3.0 if offered.scored else None)


@pytest.mark.parametrize("template_id", ["score-1-to-5", "stars", "emoji", "hearts"])
def test_options_of_scored_template_have_values_of_their_positions(template_id: str) -> None:
    titles = [option.title for option in find_template(template_id).spec.options]

    assert average(titles, MANUAL) == 3.1
    assert average(titles[::-1], MANUAL) == 2.9
    assert average([titles[4], titles[1]], [1, 1]) == 3.5


@pytest.mark.parametrize("titles", [["⭐", "❤️"], ["⭐", "1"], ["⭐", "⭐⭐⭐⭐⭐⭐"], ["😀", "good"], ["Yes", "No"]])
def test_options_of_several_scales_or_none_have_no_average(titles: list[str]) -> None:
    assert average(titles, [1, 1]) is None


@pytest.mark.parametrize(
    ("visibility", "is_closed", "audience", "reason"),
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
def test_visibility_depends_on_audience_and_closing(
    visibility: ResultsVisibility, is_closed: bool, audience: Audience, reason: str | None
) -> None:
    spec = poll_spec("12345", Settings(results_visibility=visibility))

    result = results(spec, tally_of(MANUAL), audience, is_closed=is_closed)

    assert (result.withheld_reason, result.is_visible) == (reason, reason is None)
    assert (result.votes == 56) == result.is_visible


@given(
    st.sampled_from(_VISIBILITIES),
    st.booleans(),
    st.booleans(),
    st.sampled_from([Audience.PUBLIC, Audience.VOTER]),
    _COUNTS,
)
def test_withheld_results_do_not_depend_on_votes(
    visibility: ResultsVisibility, hidden: bool, is_closed: bool, audience: Audience, counts: list[int]
) -> None:
    settings = Settings(results_visibility=visibility, hide_absolute_numbers=hidden)
    spec = poll_spec([str(index) for index in range(len(counts))], settings)

    result = results(spec, tally_of(counts), audience, is_closed=is_closed)

    if not result.is_visible:
        assert result == results(spec, Tally(0, 0, {}), audience, is_closed=is_closed)
        assert (result.participants, result.votes, result.average) == (None, None, None)
        assert all(
            (each.votes, each.percentage, each.participant_percentage, each.rank) == (None,) * 4
            for each in result.options
        )


@pytest.mark.parametrize("audience", [Audience.PUBLIC, Audience.VOTER])
def test_hidden_numbers_leave_percentages_visible(audience: Audience) -> None:
    spec = poll_spec("12345", Settings(hide_absolute_numbers=True))

    result = results(spec, tally_of(MANUAL), audience)

    assert (result.is_visible, result.withheld_reason) == (True, "hideAbsoluteNumbers")
    assert (result.participants, result.votes, result.average) == (None, None, 3.1)
    assert [option.votes for option in result.options] == [None] * 5
    assert [option.percentage for option in result.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.participant_percentage for option in result.options] == [14.3, 21.4, 19.6, 26.8, 17.9]
    assert [option.rank for option in result.options] == [5, 2, 3, 1, 4]


def test_withheld_results_with_hidden_numbers_name_visibility_as_reason() -> None:
    spec = poll_spec("12", Settings(results_visibility="never", hide_absolute_numbers=True))

    result = results(spec, tally_of([1, 2]))

    assert (result.is_visible, result.withheld_reason) == (False, "never")


@given(st.sampled_from(_VISIBILITIES), st.booleans(), st.booleans(), _COUNTS)
def test_audience_everything_sees_results_whatever_the_settings(
    visibility: ResultsVisibility, hidden: bool, is_closed: bool, counts: list[int]
) -> None:
    titles = [str(index) for index in range(len(counts))]
    settings = Settings(results_visibility=visibility, hide_absolute_numbers=hidden)

    result = results(poll_spec(titles, settings), tally_of(counts), Audience.EVERYTHING, is_closed=is_closed)

    assert result == results(poll_spec(titles), tally_of(counts), is_closed=is_closed)


@given(_COUNTS, st.integers(0, 10**9), st.dictionaries(st.text(max_size=3), st.integers(0, 10**9)))
def test_results_have_counts_and_ignore_unknown_options(
    counts: list[int], participants: int, others: dict[str, int]
) -> None:
    tally = tally_of(counts, participants)
    unknown = {f"no option {option_id}": count for option_id, count in others.items()}

    result = results(poll_spec([str(index) for index in range(len(counts))]), tally)

    assert [option.votes for option in result.options] == counts
    assert result == results(
        poll_spec([str(index) for index in range(len(counts))]),
        Tally(participants, tally.votes, {**unknown, **tally.counts}),
    )
