"""What a JSON value is built like, whatever stands in it."""

from typing import Any


def assert_same_shape(value: Any, example: Any, at: str = "") -> None:
    """The same fields in every object, and of a list each item like one of the example's, of which there is one."""
    if isinstance(example, dict):
        assert isinstance(value, dict), f"{at} is no object: {value!r}"
        assert value.keys() == example.keys(), f"{at} has other fields: {value.keys() ^ example.keys()}"
        for name, inner in example.items():
            assert_same_shape(value[name], inner, f"{at}/{name}")
    elif isinstance(example, list) and example:
        assert isinstance(value, list), f"{at} is no list: {value!r}"
        assert value, f"{at} is empty"
        for number, inner in enumerate(value):
            assert_same_shape(inner, example[min(number, len(example) - 1)], f"{at}/{number}")
    else:
        assert not isinstance(value, dict), f"{at} is an object: {value!r}"
