"""The format of secrets, which every service can check without a lookup."""

import random
import string
from pathlib import Path
from typing import Any

import pytest

from shared.contract.token import SECRET_PATTERN, digest, hint, is_well_formed, mint


def test_minted_token_is_well_formed_and_matches_secret_pattern() -> None:
    token = mint("pgt")

    assert is_well_formed(token, "pgt")
    assert SECRET_PATTERN.findall(f"curl 'http://x/?token={token}&type=polls'") == [token]


def test_secret_of_one_kind_is_not_well_formed_as_another() -> None:
    assert not is_well_formed(mint("pga"), "pgt")


def test_secret_with_any_single_mistyped_character_is_not_well_formed() -> None:
    token = mint("pgt")

    for position in range(4, len(token)):
        for other in random.Random(position).sample(string.ascii_letters + string.digits, 5):
            mistyped = token[:position] + other + token[position + 1 :]
            assert mistyped == token or not is_well_formed(mistyped, "pgt")


@pytest.mark.parametrize("made_up", ["", "pgt_", "x", "pgt_" + "A" * 38, "pgt_" + "é" * 38, "pgt_" + "A" * 5000, "\0"])
def test_made_up_token_is_not_well_formed(made_up: str) -> None:
    assert not is_well_formed(made_up, "pgt")


def test_minted_tokens_are_unique_and_use_the_whole_alphabet() -> None:
    tokens = [mint("pgt") for _ in range(2000)]

    assert len(set(tokens)) == 2000
    assert set("".join(token[4:36] for token in tokens)) == set(string.ascii_letters + string.digits)


def test_hint_shows_prefix_and_last_four_characters_and_digest_is_sha256() -> None:
    token = mint("pgt")

    assert hint(token) == f"pgt_…{token[-4:]}"
    assert len(digest(token)) == 32


def test_check_in_secret_scanning_page_agrees_with_is_well_formed() -> None:
    text = (Path(__file__).parents[2] / "docs" / "secret-scanning.md").read_text(encoding="utf-8")
    published: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], published)  # noqa: S102

    for secret in (mint("pgt"), mint("pga"), mint("pgs")):
        damaged = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        assert (published["is_ours"](secret), published["is_ours"](damaged)) == (True, False)
    assert f"```\n{SECRET_PATTERN.pattern}\n```" in text
