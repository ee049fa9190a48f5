"""JSON Merge Patch: the examples of RFC 7396 and properties for any values."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.http.merge_patch import merge

APPENDIX_A = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

_NAMES = st.sampled_from("abc")
_SCALARS = st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2)


def _values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=12
    )


_VALUES = _values(st.none() | _SCALARS)
_WITHOUT_NULL = _values(_SCALARS)


@pytest.mark.parametrize(("target", "patch", "result"), APPENDIX_A)
def test_merge_returns_results_of_rfc_7396_examples(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


@given(_VALUES, _VALUES)
def test_merge_changes_neither_target_nor_patch(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))

    merge(target, patch)

    assert (target, patch) == before


@given(_VALUES, _VALUES)
def test_merge_is_idempotent(target: Any, patch: Any) -> None:
    once = merge(target, patch)

    assert merge(once, patch) == once


@given(_VALUES)
def test_empty_patch_returns_the_object_unchanged(target: Any) -> None:
    assert merge(target, {}) == (target if isinstance(target, dict) else {})


@given(_WITHOUT_NULL)
def test_patch_without_null_on_an_empty_object_returns_the_patch(patch: Any) -> None:
    assert merge(None, patch) == patch


@given(_VALUES, st.dictionaries(_NAMES, _VALUES))
def test_field_missing_in_the_patch_is_kept(target: Any, patch: dict[str, Any]) -> None:
    fields = target if isinstance(target, dict) else {}

    merged = merge(target, patch)

    assert {name: merged.get(name) for name in fields.keys() - patch.keys()} == {
        name: fields[name] for name in fields.keys() - patch.keys()
    }


@given(_VALUES, st.dictionaries(_NAMES, _VALUES))
def test_field_that_is_null_in_the_patch_is_removed(target: Any, patch: dict[str, Any]) -> None:
    merged = merge(target, patch)

    assert not merged.keys() & {name for name, value in patch.items() if value is None}
