"""A JSON object that is given to a command as a file, or on standard input."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from pollgate.cli.errors import CliError


def read_json_object(name: str, what: str, example: str) -> dict[str, Any]:
    """What the file of this name holds, or standard input where that is `-`. Raises `CliError`."""
    where = "standard input" if name == "-" else name
    try:
        content = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return msgspec.json.decode(content, type=dict[str, Any])
    except OSError as error:
        raise CliError(f"cannot read {what}: {error.strerror}: {where}") from None
    except (ValueError, RecursionError):
        raise CliError(f"{where} does not hold a JSON object, as in {example}") from None
