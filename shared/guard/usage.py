"""Counters of how often each token was let through and refused, until a sync reports them."""

from collections.abc import Callable
from itertools import islice
from typing import Final

from shared.contract.sync import TokenUse
from shared.guard.origin import Origin, Origins

MAX_USES_PER_SYNC: Final = 140
"""So many of the longest ones fit into the body of a sync."""
MAX_SECRETS: Final = 100_000


class Use:
    """The counters of one secret.

    `last_used_at` is the time of the last use, or of the last refusal if there is no use, on the guard's clock.
    `origin` is from where the last use came.
    """

    __slots__ = ("last_used_at", "origin", "refusals", "token_id", "uses")

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id
        self.uses = self.refusals = 0
        self.last_used_at = 0.0
        self.origin: Origin | None = None

    def add(self, newer: "Use") -> None:
        """Add the counters of a later time."""
        if newer.uses or not self.uses:
            self.last_used_at, self.origin = newer.last_used_at, newer.origin
        self.uses += newer.uses
        self.refusals += newer.refusals


class Usage:
    """Count at least once: what a failed sync carried is reported again. Drop new secrets beyond `MAX_SECRETS`."""

    def __init__(self, clock: Callable[[], float], origins: Origins | None = None) -> None:
        self._clock = clock
        self._origins = origins or Origins(proxy_hops=0)
        self._uses: dict[str, Use] = {}

    def count(self, token_id: str, secret_id: str, origin: Origin | None = None) -> None:
        """Count a request with this token that was let through."""
        use = self._of(token_id, secret_id)
        use.uses += 1
        use.last_used_at, use.origin = self._clock(), origin

    def count_refusal(self, token_id: str, secret_id: str) -> None:
        """Count a request that was refused, although its token works."""
        use = self._of(token_id, secret_id)
        use.refusals += 1
        if not use.uses:
            use.last_used_at = self._clock()

    def take(self) -> dict[str, Use]:
        """Remove and return up to `MAX_USES_PER_SYNC` counters for the next sync, by secret id."""
        return {secret_id: self._uses.pop(secret_id) for secret_id in list(islice(self._uses, MAX_USES_PER_SYNC))}

    def put_back(self, taken: dict[str, Use]) -> None:
        """Add counters back that a sync may not have delivered."""
        for secret_id, use in taken.items():
            newer = self._uses.get(secret_id)
            if newer is not None:
                use.add(newer)
            self._uses[secret_id] = use

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

    def _of(self, token_id: str, secret_id: str) -> Use:
        use = self._uses.get(secret_id)
        if use is None:
            use = Use(token_id)
            if len(self._uses) < MAX_SECRETS:
                self._uses[secret_id] = use
        return use
