"""The choice between two media types by the Accept header."""

import pytest
from aiohttp.test_utils import make_mocked_request

from shared.runtime.http.accept import prefers

JWT = "application/token-introspection+jwt"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], False),
        ([""], False),
        (["*/*"], False),
        (["application/*"], False),
        (["application/json"], False),
        (["text/html"], False),
        ([JWT], True),
        ([JWT.upper()], True),
        ([f"{JWT};q=0.1"], True),
        ([f"{JWT};q=0"], False),
        ([f"{JWT};q=0.000"], False),
        ([f"{JWT}, application/json"], True),
        ([f"application/json;q=0.9 , {JWT} ; q=1.0"], True),
        (["application/json", JWT], True),
        ([f"{JWT};q=0.5, application/json"], False),
        ([f"{JWT};q=0.5, */*"], False),
        ([f"{JWT};q=0.5, */*, application/json;q=0.4"], True),
        ([f"{JWT};q=0.5, application/*;q=0.4, */*"], True),
        ([f"{JWT}, */*;q=0.1"], True),
        ([f"{JWT};q=2"], False),
        ([f"{JWT};q=nan"], False),
        ([f"{JWT};q="], False),
        ([f",;,;q=1,{JWT}"], True),
    ],
)
def test_named_media_type_with_at_least_the_default_weight_is_preferred(accept: list[str], expected: bool) -> None:
    request = make_mocked_request("GET", "/", headers=[("Accept", each) for each in accept])

    assert prefers(request, JWT, "application/json") is expected
