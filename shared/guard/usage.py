"""How often each token has been let through and refused, gathered until a sync takes it along."""

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from shared.contract.sync import MAX_USES_ACCEPTED, TokenUse

MAX_USES_PER_SYNC: Final = MAX_USES_ACCEPTED // 2
MAX_SECRETS: Final = 100_000


class Use(NamedTuple):
    """Of one secret of a token. `last_used_at` is of the guard's clock; of the last refusal where there is no use."""

    token_id: str
    uses: int
    refusals: int
    last_used_at: float

    def merge(self, newer: "Use") -> "Use":
        """Both together."""
        last = newer if newer.uses or not self.uses else self
        return Use(self.token_id, self.uses + newer.uses, self.refusals + newer.refusals, last.last_used_at)


class Usage:
    """Counts at least once: what a lost sync carried is carried again. Of more than `MAX_SECRETS`, the rest is lost."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._uses: dict[str, Use] = {}

    def count(self, token_id: str, secret_id: str) -> None:
        """A request with this token has been let through."""
        self._add(secret_id, Use(token_id, 1, 0, self._clock()))

    def count_refusal(self, token_id: str, secret_id: str) -> None:
        """A request with this token, which works, has been refused."""
        self._add(secret_id, Use(token_id, 0, 1, self._clock()))

    def take(self) -> dict[str, Use]:
        """What the next sync carries, by the secret's id."""
        return {secret_id: self._uses.pop(secret_id) for secret_id in list(islice(self._uses, MAX_USES_PER_SYNC))}

    def put_back(self, taken: dict[str, Use]) -> None:
        """The sync may not have arrived."""
        for secret_id, use in taken.items():
            newer = self._uses.get(secret_id)
            self._uses[secret_id] = use.merge(newer) if newer else use

    def to_report(self, taken: dict[str, Use]) -> list[TokenUse]:
        """`taken` in the words of the contract, which compares no clocks."""
        now = self._clock()
        return [
            TokenUse(use.token_id, secret_id, use.uses, use.refusals, max(0, round((now - use.last_used_at) * 1000)))
            for secret_id, use in taken.items()
        ]

    def _add(self, secret_id: str, use: Use) -> None:
        known = self._uses.get(secret_id)
        if known is not None or len(self._uses) < MAX_SECRETS:
            self._uses[secret_id] = known.merge(use) if known else use
