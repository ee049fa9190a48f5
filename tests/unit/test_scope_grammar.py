"""Scopes: parsing, formatting, what a scope covers, and the errors for invalid scopes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.scope import (
    ALL_ACTIONS,
    Action,
    Place,
    Scope,
    ScopeError,
    find_excess_scope,
    format_scopes,
    parse_scopes,
)

_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
_PATHS = st.lists(_NAMES, max_size=3).map(tuple)
_SCOPES = st.builds(Scope, st.sets(st.sampled_from(Action), min_size=1).map(frozenset), _PATHS) | st.builds(
    Scope, st.just(ALL_ACTIONS), _PATHS, st.just(True)
)
_PLACES = st.builds(Place, _NAMES, _NAMES, st.one_of(st.just(""), _NAMES))


@given(_SCOPES)
def test_formatted_scope_parses_to_the_same_scope(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


def test_all_actions_spelt_out_are_no_wildcard() -> None:
    spelt_out = Scope.parse("polls:results,vote,delete,update,create,read:PLAT")
    wildcard = Scope.parse("polls:*:PLAT")

    assert str(spelt_out) == "polls:read,create,update,delete,vote,results:PLAT"
    assert str(wildcard) == "polls:*:PLAT"
    assert find_excess_scope([spelt_out], [wildcard]) is None
    assert find_excess_scope([wildcard], [spelt_out]) == wildcard
    assert find_excess_scope([wildcard], [Scope.parse("polls:*:*")]) is None


@given(st.lists(_SCOPES))
def test_formatted_scopes_parse_to_the_same_scopes(scopes: list[Scope]) -> None:
    assert parse_scopes(format_scopes(scopes)) == tuple(scopes)


@given(_SCOPES)
def test_formatted_scope_is_one_scope_token_of_rfc_6749(scope: Scope) -> None:
    assert all(0x21 <= ord(character) <= 0x7E and character not in '"\\' for character in str(scope))


@given(_SCOPES, st.sampled_from(Action), _PLACES, st.integers(0, 3))
def test_covers_agrees_with_model_of_prefixes(scope: Scope, action: Action, place: Place, take: int) -> None:
    near = Scope(scope.actions, place.path[:take])

    for candidate in (scope, near):
        below = all(a == b for a, b in zip(candidate.path, place.path, strict=False))
        expected = action in candidate.actions and below and len(candidate.path) <= len(place.path)
        assert candidate.covers(action, place) == expected


@pytest.mark.parametrize(
    ("text", "place", "covered"),
    [
        ("polls:read:*", Place("PLAT", "PLAT-1"), True),
        ("polls:read:PLAT", Place("PLAT", "PLAT-1"), True),
        ("polls:read:PLAT", Place("PLATFORM", "PLAT-1"), False),
        ("polls:read:PLAT/PLAT-1", Place("PLAT", "PLAT-1"), True),
        ("polls:read:PLAT/PLAT-1", Place("PLAT", "PLAT-12"), False),
        ("polls:read:SPACE/12345/macro-7", Place("SPACE", "12345", "macro-7"), True),
        ("polls:read:SPACE/12345/macro-7", Place("SPACE", "12345", "macro-8"), False),
        ("polls:read:SPACE/12345/macro-7", Place("SPACE", "12345"), False),
        ("polls:read:SPACE/12345", Place("SPACE", "12345", "macro-7"), True),
        ("polls:create,update:*", Place("PLAT", "PLAT-1"), False),
        ("polls:read:%2A", Place("PLAT", "PLAT-1"), False),
        ("polls:read:A%2FB", Place("A/B", "1"), True),
        ("polls:read:A%2FB", Place("A", "B"), False),
    ],
)
def test_selector_covers_only_its_path_and_below(text: str, place: Place, covered: bool) -> None:
    assert Scope.parse(text).covers(Action.READ, place) is covered


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("issues:read:*", 0),
        ("polls", 0),
        ("polls:read", 10),
        ("polls::PLAT", 6),
        ("polls:read,write:*", 11),
        ("polls:read,read:*", 11),
        ("polls:READ:*", 6),
        ("polls:*,read:*", 6),
        ("polls:read:", 11),
        ("polls:read:PLAT/", 16),
        ("polls:read:PLAT//x", 16),
        ("polls:read:PLAT/*", 16),
        ("polls:read:PL AT", 13),
        ("polls:read:PL%4", 13),
        ("polls:read:%FF", 11),
        ("polls:read:%00", 11),
        ("polls:read:ß", 11),
        ("polls:read:a/b/c/d", 17),
        ("polls:read:" + "a" * 2000, 1024),
    ],
)
def test_invalid_scope_raises_error_at_first_wrong_character(text: str, position: int) -> None:
    with pytest.raises(ScopeError) as fault:
        Scope.parse(text)

    assert fault.value.position == position
    assert f"at character {position + 1}" in str(fault.value)
