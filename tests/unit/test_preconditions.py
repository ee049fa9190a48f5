"""If-Match and If-None-Match: evaluation and malformed headers."""

import time
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from shared.runtime.http.preconditions import if_match, if_none_match, is_not_modified, read_if_match
from shared.runtime.http.problem import BadRequest


def request_with(header: str, *lines: str) -> web.Request:
    """Return a request with these lines of one header."""
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
def test_if_match_allows_only_resources_with_a_listed_tag(
    lines: list[str], etag: str | None, allowed: bool, _: bool
) -> None:
    condition = if_match(request_with("If-Match", *lines))

    assert condition is not None
    assert condition.allows(etag) is allowed


@pytest.mark.parametrize(("lines", "etag", "_", "allowed"), CASES)
def test_if_none_match_allows_only_resources_without_a_listed_tag(
    lines: list[str], etag: str | None, _: bool, allowed: bool
) -> None:
    condition = if_none_match(request_with("If-None-Match", *lines))

    assert condition is not None
    assert condition.allows(etag) is allowed


def test_request_without_the_header_has_no_condition() -> None:
    request = request_with("Accept", "*/*")

    assert if_match(request) is None
    assert if_none_match(request) is None
    assert not is_not_modified(request, '"1"')


@pytest.mark.parametrize(("line", "expected"), [('"1"', True), ('W/"1"', True), ("*", True), ('"2"', False)])
def test_if_none_match_with_current_tag_is_not_modified(line: str, expected: bool) -> None:
    assert is_not_modified(request_with("If-None-Match", line), '"1"') is expected


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
def test_malformed_header_raises_bad_request_with_the_expected_syntax(
    header: str, read: Callable[[web.Request], object], lines: list[str]
) -> None:
    with pytest.raises(BadRequest, match=f'Invalid {header}: .*, such as {header}: "1", "2"'):
        read(request_with(header, *lines))


@pytest.mark.parametrize("text", ['"1",' + " " * 200_000 + "x", " " * 200_000 + "x", '"1",' + ', "2" ' * 40_000 + "x"])
def test_long_malformed_list_is_refused_quickly(text: str) -> None:
    started = time.process_time()

    with pytest.raises(BadRequest):
        read_if_match(text)

    assert time.process_time() - started < 1.0
