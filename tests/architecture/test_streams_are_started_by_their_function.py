"""Every stream is started by `start_stream`: only that function lets the hooks see its headers before they are sent."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
POSTGRES = ROOT / "shared/runtime/postgres"
STARTS_STREAMS = ROOT / "shared/runtime/http/response_hooks.py"


def test_no_other_module_prepares_a_response() -> None:
    modules = [file for folder in ("services", "shared") for file in (ROOT / folder).rglob("*.py")]
    modules = [file for file in modules if POSTGRES not in file.parents]  # asyncpg prepares statements

    assert STARTS_STREAMS in modules
    assert [file for file in modules if re.search(r"\.prepare\(", file.read_text())] == [STARTS_STREAMS]
