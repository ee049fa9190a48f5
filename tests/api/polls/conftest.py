"""What the tests of the polls API share beside the services themselves."""

import pytest


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers do not look by themselves every few seconds: what they are told of, they heard of or awaited."""
    monkeypatch.setattr("services.polls.operations.feed.LOOK_S", 3600.0)
