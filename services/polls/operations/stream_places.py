"""How many streams there may be: each takes a connection and some memory for as long as it likes."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager


class TooManyStreams(Exception):
    """The token has as many streams in this process as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(str(limit))
        self.limit = limit


class StreamLimitReached(Exception):
    """This process has as many streams as it takes; another one may have room."""


class StreamLimiter:
    """One a process."""

    def __init__(self, *, places: int, places_a_token: int) -> None:
        self._places = places
        self._places_a_token = places_a_token
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, token_id: str) -> Generator[None, None, None]:
        """A place for the length of the block. Raises `TooManyStreams`, `StreamLimitReached`."""
        if self._taken[token_id] >= self._places_a_token:
            raise TooManyStreams(self._places_a_token)
        if self._taken.total() >= self._places:
            raise StreamLimitReached
        self._taken[token_id] += 1
        try:
            yield
        finally:
            self._taken[token_id] -= 1
            if not self._taken[token_id]:
                del self._taken[token_id]
