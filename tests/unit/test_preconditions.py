"""If-Match and If-None-Match: what they let through, and what is not one of them."""

import time
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from shared.runtime.http.preconditions import if_match, if_none_match, not_modified, read_if_match
from shared.runtime.http.problem import BadRequest


def asking(header: str, *lines: str) -> web.Request:
    """A request with these lines of one header."""
    return make_mocked_request("GET", "/", headers=[(header, line) for line in lines])


CASES = [
    # header lines, the tag that there is, whether If-Match allows it, whether If-None-Match does
    (['"1"'], '"1"', True, False),
    (['"1"'], '"2"', False, True),
    (['"1"'], None, False, True),
    (["*"], '"1"', True, False),
    (["*"], None, False, True),
    ([" * "], 'W/"1"', True, False),
    (['"1", "2"'], '"2"', True, False),
    (['"1"', 'W/"2" ,\t"3"'], '"3"', True, False),
    ([',, "1" , ,"2",'], '"2"', True, False),
    (['W/"1"'], '"1"', False, False),
    (['"1"'], 'W/"1"', False, False),
    (['W/"1"'], 'W/"1"', False, False),
    (['""'], '""', True, False),
    (['"a,b"'], '"a,b"', True, False),
    (['"a,b"'], '"a"', False, True),
    (['"é"'], '"é"', True, False),
    (['"W/"'], '"W/"', True, False),
    (['"*"'], '"1"', False, True),
]


@pytest.mark.parametrize(("lines", "etag", "allowed", "_"), CASES)
def test_if_match_goes_on_where_the_resource_is_one_of_these(
    lines: list[str], etag: str | None, allowed: bool, _: bool
) -> None:
    condition = if_match(asking("If-Match", *lines))

    assert condition is not None
    assert condition.allows(etag) is allowed


@pytest.mark.parametrize(("lines", "etag", "_", "allowed"), CASES)
def test_if_none_match_goes_on_where_the_resource_is_none_of_these(
    lines: list[str], etag: str | None, _: bool, allowed: bool
) -> None:
    condition = if_none_match(asking("If-None-Match", *lines))

    assert condition is not None
    assert condition.allows(etag) is allowed


def test_without_the_header_there_is_no_condition() -> None:
    request = asking("Accept", "*/*")

    assert if_match(request) is None
    assert if_none_match(request) is None
    assert not not_modified(request, '"1"')


@pytest.mark.parametrize(("line", "expected"), [('"1"', True), ('W/"1"', True), ("*", True), ('"2"', False)])
def test_a_caller_that_has_the_resource_as_it_is_has_it_not_modified(line: str, expected: bool) -> None:
    assert not_modified(asking("If-None-Match", line), '"1"') is expected


@pytest.mark.parametrize(
    "lines",
    [
        [""],
        [","],
        ["1"],
        ['"1'],
        ['1"'],
        ['"1" "2"'],
        ['"1"x'],
        ["'1'"],
        ['w/"1"'],
        ['W/ "1"'],
        ["W/1"],
        ['"a b"'],
        ['"a\x7f"'],
        ['"1", *'],
        ["*", "*"],
        ['*, "1"'],
        ['"1"' + " " * 4000 + "x"],
        ["," * 4000 + "x"],
    ],
)
@pytest.mark.parametrize(("header", "read"), [("If-Match", if_match), ("If-None-Match", if_none_match)])
def test_what_is_no_list_of_entity_tags_is_refused_and_told_what_one_is(
    header: str, read: Callable[[web.Request], object], lines: list[str]
) -> None:
    with pytest.raises(BadRequest, match=f'Invalid {header}: .*, such as {header}: "1", W/"2"'):
        read(asking(header, *lines))


@pytest.mark.parametrize("text", ['"1",' + " " * 200_000 + "x", " " * 200_000 + "x", '"1",' + ', "2" ' * 40_000 + "x"])
def test_a_long_list_in_a_body_is_refused_without_holding_up_everybody_else(text: str) -> None:
    started = time.process_time()

    with pytest.raises(BadRequest):
        read_if_match(text)

    assert time.process_time() - started < 1.0
