"""Scopes against a plain model: a scope is the set of all that it allows, action by action and place by place.

The places are those of a small world in which every name that a scope speaks of has a neighbour that none speaks of, so
that what holds in it holds everywhere.
"""

import itertools
import re
from collections.abc import Iterable
from urllib.parse import unquote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.token_authority.domain.reach import EVERYWHERE, covering, reach_of, reaching, touching
from shared.contract.scope import ALL_ACTIONS, Action, Place, Scope, ScopeError, find_excess_scope
from tests.support.scopes import overlap

NAMES = ("A", "AB", "A/B", "*", ">", ":", "é")
NEIGHBOUR = "nobody speaks of this"

Allowed = set[tuple[Action, Place]]

_ACTIONS = st.sets(st.sampled_from(Action), min_size=1, max_size=3) | st.just(set(ALL_ACTIONS))
_SCOPES = st.builds(
    Scope, _ACTIONS.map(frozenset), st.lists(st.sampled_from(NAMES[:3]) | st.sampled_from(NAMES), max_size=3).map(tuple)
)
_FEW = st.lists(_SCOPES, min_size=1, max_size=4)


def allowed(scopes: Iterable[Scope], world: Iterable[Place]) -> Allowed:
    """All that some of the scopes allow in this world, said as plainly as can be."""
    return {
        (action, place)
        for place, scope in itertools.product(world, scopes)
        if all(
            name == at for name, at in zip(scope.path, (place.workspace, place.content, place.container), strict=False)
        )
        for action in scope.actions
    }


def world_of(*scopes: Iterable[Scope]) -> list[Place]:
    """Every place that can be told by the names in these scopes, and by one that is in none."""
    names = [*sorted({name for scope in itertools.chain(*scopes) for name in scope.path}), NEIGHBOUR]
    return [Place(*path) for path in itertools.product(names, names, ["", *names])]


def touches(token: Iterable[Scope], asked: Scope) -> bool:
    """What the index on marks answers, by `&&`."""
    return not set(reach_of(token)).isdisjoint(touching(asked))


def lies_within(token: Iterable[Scope], limits: list[Scope]) -> bool:
    """What the condition on marks answers, by `starts_with`."""
    beginnings = covering(limits)
    return all(any(mark.startswith(start) for start in beginnings) for mark in reach_of(token) if ":" in mark)


@settings(max_examples=400)
@given(_FEW, _SCOPES)
def test_a_token_is_found_by_what_it_can_touch_and_by_nothing_else(token: list[Scope], asked: Scope) -> None:
    world = world_of(token, [asked])

    assert touches(token, asked) == bool(allowed(token, world) & allowed([asked], world))
    assert touches(token, asked) == any(overlap(scope, asked) for scope in token)


@settings(max_examples=400)
@given(_FEW, _FEW)
@example([Scope(ALL_ACTIONS, ())], [Scope(ALL_ACTIONS, ())])
@example([Scope(frozenset({Action.READ}), ("AB",))], [Scope(frozenset({Action.READ}), ("A",))])
def test_a_token_is_within_limits_where_these_allow_all_that_it_does(token: list[Scope], limits: list[Scope]) -> None:
    world = world_of(token, limits)

    within = allowed(token, world) <= allowed(limits, world)

    assert lies_within(token, limits) == within
    assert (find_excess_scope(token, limits) is None) == within


@settings(max_examples=200)
@given(_FEW, _FEW)
def test_what_goes_beyond_limits_is_of_the_token_and_not_of_the_limits(token: list[Scope], limits: list[Scope]) -> None:
    over, world = find_excess_scope(token, limits), world_of(token, limits)

    if over is not None:
        assert allowed([over], world) <= allowed(token, world)
        assert not all(pair in allowed(limits, world) for pair in allowed([over], world))


@settings(max_examples=200)
@given(_FEW, _FEW)
def test_the_index_leaves_out_no_token_within_limits(token: list[Scope], limits: list[Scope]) -> None:
    if lies_within(token, limits):
        assert not set(reach_of(token)).isdisjoint(reaching(limits))


@given(_FEW)
def test_a_token_reaches_everywhere_by_a_scope_without_a_path_alone(token: list[Scope]) -> None:
    assert set(reach_of(token)).isdisjoint(EVERYWHERE) == all(scope.path for scope in token)


@given(_SCOPES, _SCOPES, st.sampled_from(Action))
def test_a_scope_includes_another_where_it_allows_the_action_wherever_that_speaks_of(
    scope: Scope, other: Scope, action: Action
) -> None:
    world, everything = world_of([scope], [other]), [Scope(frozenset({action}), other.path)]

    assert scope.includes(other, action) == (allowed(everything, world) <= allowed([scope], world))


_PIECES = (
    "A",
    "Az09-._~",
    "%41",
    "%2F",
    "%c3%A9",
    "%FF",
    "%C3",
    "%00",
    "%2",
    "%",
    "*",
    "/",
    ":",
    ",",
    "é",
    " ",
    "read",
)
_ROUGH = st.lists(st.sampled_from(["polls", "read", "vote", "write", *_PIECES]), max_size=9).map("".join)
_NEAR = st.builds(
    "polls:{}:{}".format,
    st.lists(st.sampled_from([*Action, "*", "", "write"]), min_size=1, max_size=3).map(",".join),
    st.lists(st.lists(st.sampled_from(_PIECES), max_size=3).map("".join), min_size=1, max_size=4).map("/".join),
)
_RIGHT = re.compile(
    r"polls:(?P<actions>\*|[a-z]+(?:,[a-z]+)*):(?P<path>\*|(?:[A-Za-z0-9._~/-]|%[0-9A-Fa-f]{2})+)", re.ASCII
)


def read_plainly(text: str) -> Scope | None:
    """The scope that a text is, by one pattern and a list of what it does not say."""
    match = _RIGHT.fullmatch(text)
    if match is None:
        return None
    actions = list(Action) if match["actions"] == "*" else match["actions"].split(",")
    names = [] if match["path"] == "*" else match["path"].split("/")
    try:
        path = tuple(unquote(name, errors="strict") for name in names)
    except UnicodeDecodeError:
        return None
    if not set(actions) <= set(Action) or len(set(actions)) < len(actions):
        return None
    if len(path) > 3 or "" in path or "\0" in "".join(path):
        return None
    return Scope(frozenset(map(Action, actions)), path)


@settings(max_examples=1000)
@given(_ROUGH | _NEAR)
@example("polls:*:*")
@example("polls:read:A/B/C")
@example("polls:read:%2A")
def test_a_text_is_a_scope_where_a_plain_reading_says_so(text: str) -> None:
    try:
        read: Scope | None = Scope.parse(text)
    except ScopeError:
        read = None

    assert read == read_plainly(text)
    assert read is None or Scope.parse(str(read)) == read
