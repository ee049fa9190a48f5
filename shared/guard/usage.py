"""How often each token has been let through, gathered until a sync takes it along."""

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from shared.contract.sync import MAX_USES_A_SYNC, TokenUse

MAX_TOKENS: Final = 100_000


class Use(NamedTuple):
    """`last_used_at` is of the guard's clock."""

    uses: int
    last_used_at: float


class Usage:
    """Counts at least once: what a lost sync carried is carried again. Of more than `MAX_TOKENS`, the rest is lost."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._uses: dict[str, Use] = {}

    def count(self, token_id: str) -> None:
        """A request with this token has been let through."""
        known = self._uses.get(token_id)
        if known is not None or len(self._uses) < MAX_TOKENS:
            self._uses[token_id] = Use(known.uses + 1 if known else 1, self._clock())

    def take(self) -> dict[str, Use]:
        """What the next sync carries."""
        return {token_id: self._uses.pop(token_id) for token_id in list(islice(self._uses, MAX_USES_A_SYNC))}

    def put_back(self, taken: dict[str, Use]) -> None:
        """The sync may not have arrived."""
        for token_id, use in taken.items():
            newer = self._uses.get(token_id, Use(0, use.last_used_at))
            self._uses[token_id] = Use(use.uses + newer.uses, newer.last_used_at)

    def told(self, taken: dict[str, Use]) -> list[TokenUse]:
        """`taken` in the words of the contract, which compares no clocks."""
        now = self._clock()
        return [
            TokenUse(token_id, token_id, use.uses, 0, max(0, round((now - use.last_used_at) * 1000)))
            for token_id, use in taken.items()
        ]
