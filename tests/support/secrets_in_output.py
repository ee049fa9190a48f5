"""Looks for secrets in whatever a test run has written, as they stand and percent-encoded."""

from pathlib import Path
from urllib.parse import unquote

from shared.contract.token import SECRET_PATTERN


def secrets_in(text: str) -> list[str]:
    """Every secret in the text, in any number of percent-encodings up to three."""
    found = set()
    for _ in range(4):
        found.update(SECRET_PATTERN.findall(text))
        text = unquote(text)
    return sorted(found)


def files_with_secrets(folder: Path) -> list[Path]:
    """The files below the folder that hold one."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if secrets_in(path.read_text(encoding="utf-8", errors="replace"))]
