"""The setting CORS_ORIGINS."""

import pytest

from shared.runtime.http.cors import read_origins
from shared.runtime.process.environment import SettingsError


def test_origins_are_separated_by_spaces_or_commas() -> None:
    text = " https://a.example,http://127.0.0.1:3000 http://[::1]:8080\nhttps://x "

    assert read_origins(text) == {"https://a.example", "http://127.0.0.1:3000", "http://[::1]:8080", "https://x"}
    assert read_origins("") == frozenset()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*", "wildcards are not supported"),
        ("https://*.example.com", "wildcards are not supported"),
        ("null", "'null' is the origin of any sandboxed page"),
        ("https://a.example/", "without a path"),
        ("https://a.example:443", "without a default port"),
        ("HTTPS://A.example", "in lower case"),
        ("a.example", "https://polls.example.com"),
        ("ftp://a.example", "https://polls.example.com"),
        ("https://user@a.example", "https://polls.example.com"),
    ],
)
def test_invalid_origin_is_refused_with_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=r"^CORS_ORIGINS is wrong: ") as refused:
        read_origins(f"https://b.example {text}")

    assert reason in str(refused.value)
