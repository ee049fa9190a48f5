"""Scopes and index keys compared with a plain model, in which a scope is the set of actions at places that it allows.

The wildcard is one more action, which stands for the actions of later releases. The model has the places made of the
names in the scopes and of one name that no scope contains, which stands for every other name.
"""

import itertools
import re
from collections.abc import Iterable
from urllib.parse import unquote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.token_authority.domain.scope_index import (
    KEYS_EVERYWHERE,
    index_keys,
    key_prefixes_within,
    keys_overlapping,
    keys_within,
    wildcard_prefixes,
)
from shared.contract.scope import ALL_ACTIONS, Action, Place, Scope, ScopeError, find_excess_scope
from tests.support.scopes import overlap

NAMES = ("A", "AB", "A/B", "*", ">", ":", "é")
OTHER_NAME = "in no scope"

LATER_ACTION = "an action of a later release"

Allowed = set[tuple[str, Place]]

_ACTIONS = st.sets(st.sampled_from(Action), min_size=1, max_size=3) | st.just(set(ALL_ACTIONS))
_NAMES = st.lists(st.sampled_from(NAMES[:3]) | st.sampled_from(NAMES), max_size=3).map(tuple)
_SCOPES = st.builds(Scope, _ACTIONS.map(frozenset), _NAMES) | st.builds(
    Scope, st.just(ALL_ACTIONS), _NAMES, st.just(True)
)
_FEW = st.lists(_SCOPES, min_size=1, max_size=4)


def allowed(scopes: Iterable[Scope], places: Iterable[Place]) -> Allowed:
    """Return every action at every place that one of the scopes allows."""
    return {
        (action, place)
        for place, scope in itertools.product(places, scopes)
        if all(
            name == at for name, at in zip(scope.path, (place.workspace, place.content, place.container), strict=False)
        )
        for action in (*scope.actions, *([LATER_ACTION] if scope.is_wildcard else []))
    }


def places_of(*scopes: Iterable[Scope]) -> list[Place]:
    """Return every place made of the names in these scopes and of one that is in none."""
    names = [*sorted({name for scope in itertools.chain(*scopes) for name in scope.path}), OTHER_NAME]
    return [Place(*path) for path in itertools.product(names, names, ["", *names])]


def overlaps(token: Iterable[Scope], requested: Scope) -> bool:
    """Return what the SQL condition with `&&` on index keys returns."""
    return not set(index_keys(token)).isdisjoint(keys_overlapping(requested))


def is_within(token: Iterable[Scope], limits: list[Scope]) -> bool:
    """Return what the SQL conditions with `starts_with` on index keys and scopes return."""
    prefixes, wildcards = key_prefixes_within(limits), wildcard_prefixes(limits)
    return all(any(key.startswith(prefix) for prefix in prefixes) for key in index_keys(token) if ":" in key) and all(
        any(f"{scope}/".startswith(prefix) for prefix in wildcards)
        for scope in token
        if str(scope).startswith("polls:*:")
    )


@settings(max_examples=400)
@given(_FEW, _SCOPES)
def test_index_finds_exactly_tokens_whose_scopes_overlap(token: list[Scope], requested: Scope) -> None:
    places = places_of(token, [requested])

    assert overlaps(token, requested) == bool(allowed(token, places) & allowed([requested], places))
    assert overlaps(token, requested) == any(overlap(scope, requested) for scope in token)


@settings(max_examples=400)
@given(_FEW, _FEW)
@example([Scope(ALL_ACTIONS, ())], [Scope(ALL_ACTIONS, ())])
@example([Scope(ALL_ACTIONS, (), True)], [Scope(ALL_ACTIONS, ())])
@example([Scope(ALL_ACTIONS, ("A",), True)], [Scope(ALL_ACTIONS, (), True)])
@example([Scope(frozenset({Action.READ}), ("AB",))], [Scope(frozenset({Action.READ}), ("A",))])
def test_token_is_within_limits_if_limits_allow_all_its_scopes(token: list[Scope], limits: list[Scope]) -> None:
    places = places_of(token, limits)

    within = allowed(token, places) <= allowed(limits, places)

    assert is_within(token, limits) == within
    assert (find_excess_scope(token, limits) is None) == within


@settings(max_examples=200)
@given(_FEW, _FEW)
def test_scope_beyond_limits_is_allowed_by_token_and_not_by_limits(token: list[Scope], limits: list[Scope]) -> None:
    over, places = find_excess_scope(token, limits), places_of(token, limits)

    if over is not None:
        assert allowed([over], places) <= allowed(token, places)
        assert not all(pair in allowed(limits, places) for pair in allowed([over], places))


@settings(max_examples=200)
@given(_FEW, _FEW)
def test_index_condition_finds_every_token_within_limits(token: list[Scope], limits: list[Scope]) -> None:
    if is_within(token, limits):
        assert not set(index_keys(token)).isdisjoint(keys_within(limits))


@given(_FEW)
def test_token_has_key_for_everywhere_only_with_scope_without_path(token: list[Scope]) -> None:
    assert set(index_keys(token)).isdisjoint(KEYS_EVERYWHERE) == all(scope.path for scope in token)


@given(_SCOPES, _SCOPES, st.sampled_from(Action))
def test_scope_includes_other_scope_if_action_is_allowed_at_all_places(
    scope: Scope, other: Scope, action: Action
) -> None:
    places, everything = places_of([scope], [other]), [Scope(frozenset({action}), other.path)]

    assert scope.includes(other, action) == (allowed(everything, places) <= allowed([scope], places))


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
    """Parse a scope with one pattern and a list of exclusions; `None` if it is invalid."""
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
    return Scope(frozenset(map(Action, actions)), path, match["actions"] == "*")


@settings(max_examples=1000)
@given(_ROUGH | _NEAR)
@example("polls:*:*")
@example("polls:read:A/B/C")
@example("polls:read:%2A")
def test_text_parses_as_scope_if_plain_parser_accepts_it(text: str) -> None:
    try:
        read: Scope | None = Scope.parse(text)
    except ScopeError:
        read = None

    assert read == read_plainly(text)
    assert read is None or Scope.parse(str(read)) == read
