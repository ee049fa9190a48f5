"""`pollgate up` in a folder of the test."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support.pollgate_up import Runner


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncGenerator[Runner, None]:
    """Return a runner of `pollgate up`. Nothing of it runs after the test."""
    async with Runner(tmp_path / "stack") as runner:
        yield runner
