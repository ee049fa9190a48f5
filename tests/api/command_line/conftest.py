"""The command line with an admin key, and with an access token."""

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority, Polls


@pytest.fixture
def pollgate(authority: Authority, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The `pollgate` command with the admin key of a running token authority."""
    command_line = CommandLine(capsys, monkeypatch)
    command_line.manage(authority.base, authority.admin_key)
    return command_line


@pytest.fixture
def integrator(pollgate: CommandLine, polls: Polls) -> CommandLine:
    """The same, also with an access token for everything in a running polls service."""
    pollgate.integrate(polls.base, polls.token)
    return pollgate
