"""The header Idempotency-Key."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from shared.runtime.http.idempotency import IDEMPOTENCY_KEY, idempotency_key
from shared.runtime.http.problem import BadRequest


def request_with_keys(*keys: str) -> web.Request:
    """Return a request with these `Idempotency-Key` headers."""
    return make_mocked_request("POST", "/", headers=[(IDEMPOTENCY_KEY, key) for key in keys])


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("a+b/c==", "a+b/c=="),
        ("a;b\\~!", "a;b\\~!"),
        ('"a,b"', "a,b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("x" * 255, "x" * 255),
        ('"' + r"\\" * 255 + '"', "\\" * 255),
    ],
)
def test_key_is_the_same_quoted_or_bare(sent: str, key: str) -> None:
    assert idempotency_key(request_with_keys(sent)) == key


def test_request_without_the_header_has_no_key() -> None:
    assert idempotency_key(request_with_keys()) is None


@pytest.mark.parametrize(
    "keys",
    [
        [""],
        ['""'],
        ['"'],
        ['"a'],
        ['a"'],
        ["a b"],
        ['"a b"'],
        ["a,b"],
        ["a", "a"],
        ['"a";b=1'],
        [r'"a\b"'],
        ['"a\\"'],
        ["é"],
        ['"é"'],
        ["a\x7f"],
        ["x" * 256],
        ['"' + "x" * 256 + '"'],
    ],
)
def test_malformed_or_repeated_key_raises_bad_request(keys: list[str]) -> None:
    with pytest.raises(BadRequest, match="Invalid Idempotency-Key: expected one header"):
        idempotency_key(request_with_keys(*keys))
