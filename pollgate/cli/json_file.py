"""A JSON object from a file, or from standard input."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from pollgate.cli.errors import CliError


def read_json_object(name: str, content_name: str, example: str) -> dict[str, Any]:
    """Return the JSON object in a file, or on standard input for `-`. Raise `CliError`."""
    source = "standard input" if name == "-" else name
    try:
        content = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return msgspec.json.decode(content, type=dict[str, Any])
    except OSError as error:
        raise CliError(f"cannot read {content_name}: {error.strerror}: {source}") from None
    except (ValueError, RecursionError):
        raise CliError(f"{source} does not contain a JSON object, such as {example}") from None
