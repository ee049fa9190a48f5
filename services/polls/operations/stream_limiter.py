"""Limit the number of event streams: each holds a connection and some memory for as long as it is open."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from services.polls.domain.errors import StreamLimitReached, TooManyStreams


class StreamLimiter:
    """Counts the open streams. Create one instance per process."""

    def __init__(self, *, limit: int, limit_per_token: int) -> None:
        self._limit = limit
        self._limit_per_token = limit_per_token
        self._open: Counter[str] = Counter()

    @property
    def open_streams(self) -> int:
        """The number of streams that are open."""
        return self._open.total()

    @contextmanager
    def count(self, token_id: str) -> Generator[None, None, None]:
        """Count one stream while the block runs. Raise `TooManyStreams` or `StreamLimitReached`."""
        if self._open[token_id] >= self._limit_per_token:
            raise TooManyStreams(self._limit_per_token)
        if self._open.total() >= self._limit:
            raise StreamLimitReached
        self._open[token_id] += 1
        try:
            yield
        finally:
            self._open[token_id] -= 1
            if not self._open[token_id]:
                del self._open[token_id]
