"""The command line of a running authority's administrator."""

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority


@pytest.fixture
def pollgate(authority: Authority, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The `pollgate` command."""
    command_line = CommandLine(capsys, monkeypatch)
    command_line.manage(authority.base, authority.admin_key)
    return command_line
