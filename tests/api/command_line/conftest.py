"""The command line of a running authority's administrator, and of an integrator."""

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority, Polls


@pytest.fixture
def pollgate(authority: Authority, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The `pollgate` command."""
    command_line = CommandLine(capsys, monkeypatch)
    command_line.manage(authority.base, authority.admin_key)
    return command_line


@pytest.fixture
def integrator(pollgate: CommandLine, polls: Polls) -> CommandLine:
    """The same, with a token that may do everything in a running polls service."""
    pollgate.integrate(polls.base, polls.token)
    return pollgate
