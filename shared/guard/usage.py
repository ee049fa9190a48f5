"""Counters of how often each token was let through and refused, until a sync reports them."""

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from shared.contract.sync import TokenUse
from shared.guard.origin import Origin, Origins

MAX_USES_PER_SYNC: Final = 140
"""So many of the longest ones fit into the body of a sync."""
MAX_SECRETS: Final = 100_000


class Use(NamedTuple):
    """The counters of one secret.

    `last_used_at` is the time of the last use, or of the last refusal if there is no use, on the guard's clock.
    `origin` is from where the last use came.
    """

    token_id: str
    uses: int
    refusals: int
    last_used_at: float
    origin: Origin | None = None

    def merge(self, newer: "Use") -> "Use":
        """Return the sum of both counters."""
        last = newer if newer.uses or not self.uses else self
        uses, refusals = self.uses + newer.uses, self.refusals + newer.refusals
        return Use(self.token_id, uses, refusals, last.last_used_at, last.origin)


class Usage:
    """Count at least once: what a failed sync carried is reported again. Drop new secrets beyond `MAX_SECRETS`."""

    def __init__(self, clock: Callable[[], float], origins: Origins | None = None) -> None:
        self._clock = clock
        self._origins = origins or Origins(proxy_hops=0)
        self._uses: dict[str, Use] = {}

    def count(self, token_id: str, secret_id: str, origin: Origin | None = None) -> None:
        """Count a request with this token that was let through."""
        self._add(secret_id, Use(token_id, 1, 0, self._clock(), origin))

    def count_refusal(self, token_id: str, secret_id: str) -> None:
        """Count a request that was refused, although its token works."""
        self._add(secret_id, Use(token_id, 0, 1, self._clock()))

    def take(self) -> dict[str, Use]:
        """Remove and return up to `MAX_USES_PER_SYNC` counters for the next sync, by secret id."""
        return {secret_id: self._uses.pop(secret_id) for secret_id in list(islice(self._uses, MAX_USES_PER_SYNC))}

    def put_back(self, taken: dict[str, Use]) -> None:
        """Add counters back that a sync may not have delivered."""
        for secret_id, use in taken.items():
            newer = self._uses.get(secret_id)
            self._uses[secret_id] = use.merge(newer) if newer else use

    def to_report(self, taken: dict[str, Use]) -> list[TokenUse]:
        """Return `taken` as the contract has it: times as ages in milliseconds, since clocks are not compared."""
        now, describe = self._clock(), self._origins.describe
        return [
            TokenUse(
                use.token_id,
                secret_id,
                use.uses,
                use.refusals,
                max(0, round((now - use.last_used_at) * 1000)),
                *(describe(use.origin) if use.origin else ()),
            )
            for secret_id, use in taken.items()
        ]

    def _add(self, secret_id: str, use: Use) -> None:
        known = self._uses.get(secret_id)
        if known is not None or len(self._uses) < MAX_SECRETS:
            self._uses[secret_id] = known.merge(use) if known else use
