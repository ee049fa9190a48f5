"""The procedures for operators in `docs/services.md` work."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.support.client_keys import ClientKey, create_service_with_key
from tests.support.stack import Authority

PAGE = Path(__file__).parents[2] / "docs" / "services.md"


async def test_example_of_page_introspects_with_private_key(authority: Authority, tmp_path: Path) -> None:
    key, issued = ClientKey(), await authority.issue("polls:read:PLAT")
    await create_service_with_key(authority, key, "signing-reports")
    (tmp_path / "reports.key").write_text(key.private_pem)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    environ = {**os.environ, "TOKEN_AUTHORITY_URL": authority.base, "POLLGATE_TOKEN": issued["token"]}

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", example), cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    assert process.returncode == 0
    assert b"'active': True, 'scope': 'polls:read:PLAT'" in printed
