"""Compare the shape of JSON values."""

from typing import Any


def assert_same_shape(value: Any, example: Any, at: str = "") -> None:
    """Assert that each object has the fields of the example, and each item of a list the shape of an example item.

    A list has at least one item.
    """
    if isinstance(example, dict):
        assert isinstance(value, dict), f"{at} is not an object: {value!r}"
        assert value.keys() == example.keys(), f"{at} has other fields: {value.keys() ^ example.keys()}"
        for name, inner in example.items():
            assert_same_shape(value[name], inner, f"{at}/{name}")
    elif isinstance(example, list) and example:
        assert isinstance(value, list), f"{at} is not a list: {value!r}"
        assert value, f"{at} is empty"
        for number, inner in enumerate(value):
            assert_same_shape(inner, example[min(number, len(example) - 1)], f"{at}/{number}")
    else:
        assert not isinstance(value, dict), f"{at} is an object: {value!r}"
