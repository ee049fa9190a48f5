"""The command line with an admin key, and with an access token."""

import time
from collections.abc import Callable, Generator

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority, Polls


@pytest.fixture
def pollgate(authority: Authority, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return the `pollgate` command with the admin key of a running token authority."""
    command_line = CommandLine(capsys, monkeypatch)
    command_line.use_authority(authority.base, authority.admin_key)
    return command_line


@pytest.fixture
def integrator(pollgate: CommandLine, polls: Polls) -> CommandLine:
    """Return the `pollgate` command, also with an access token for everything in a running polls service."""
    pollgate.use_polls(polls.base, polls.token)
    return pollgate


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[str], None], None, None]:
    """Return a function that sets the time zone of this process, for the duration of the test."""

    def change(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()
