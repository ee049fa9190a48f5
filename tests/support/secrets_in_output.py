"""Find secrets, plain or percent-encoded, in text and in files."""

from pathlib import Path
from urllib.parse import unquote

from shared.contract.token import SECRET_PATTERN


def find_secrets(text: str) -> list[str]:
    """Return every secret in the text, percent-encoded up to three times."""
    found = set()
    for _ in range(4):
        found.update(SECRET_PATTERN.findall(text))
        text = unquote(text)
    return sorted(found)


def find_files_with_secrets(folder: Path) -> list[Path]:
    """Return the files below the folder that contain a secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if find_secrets(path.read_text(encoding="utf-8", errors="replace"))]
