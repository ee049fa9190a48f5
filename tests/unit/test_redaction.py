"""Secrets in any encoding are redacted."""

from urllib.parse import quote

import pytest

from shared.contract.token import SECRET_PATTERN, SECRET_START, mint
from shared.runtime.process.redaction import redactor

redact = redactor(SECRET_PATTERN, SECRET_START)
TOKEN = mint("pgt")


def _percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize(
    "written",
    [
        TOKEN,
        f"GET /x1/abc?token={TOKEN}&type=polls",
        f"?tok%65n={_percent(TOKEN)}",
        f"?token=%70{TOKEN[1:]}",
        f"?token={quote(_percent(TOKEN), safe='')}",
        f"x{TOKEN}y",
        f"{mint('pgt')}%2570{TOKEN[1:]}",
        f"?token={quote(quote(quote(quote(_percent(TOKEN), safe=''), safe=''), safe=''), safe='')}",
    ],
)
def test_secret_in_any_encoding_is_redacted(written: str) -> None:
    redacted = redact(written)

    assert "[redacted]" in redacted
    assert TOKEN[10:30] not in redacted
    assert _percent(TOKEN[10:20]) not in redacted


@pytest.mark.parametrize("plain", ["", "100 % of tok_31BGMbH3qUe88eqh", "pgt_…w9Zq", "%F0%9F%98%80", "pgt_short"])
def test_text_without_secrets_is_unchanged(plain: str) -> None:
    assert redact(plain) == plain
