"""Whom a guard tells at once that a token may not work any more: those who answer with it over a long time."""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.guard.lease import Lease

LOOK_AGAIN_S: Final = 0.25
"""While the lease is lost."""

Tell = Callable[[], None]
"""Called from within the step in which something changes; it may not wait, nor raise."""


class Watches:
    """One a guard. It tells of changes, and when the lease has run out; no watch, no timer."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._by_token: dict[bytes, set[Tell]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._by_token.values()))

    def add(self, digest: bytes, tell: Tell) -> None:
        """Tell of this token from now on."""
        self._by_token.setdefault(digest, set()).add(tell)
        if self._timer is None:
            self._set_timer()

    def remove(self, digest: bytes, tell: Tell) -> None:
        """Tell no more; what was not added is no error."""
        tells = self._by_token.get(digest, set())
        tells.discard(tell)
        if not tells:
            self._by_token.pop(digest, None)
        if not self._by_token and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self, digest: bytes) -> None:
        """This token has changed."""
        for tell in tuple(self._by_token.get(digest, ())):
            tell()

    def any_may_have_changed(self) -> None:
        """Nothing is known of any token."""
        for digest in tuple(self._by_token):
            self.changed(digest)

    def _set_timer(self) -> None:
        delay_s = max(self._lease.remaining_s, LOOK_AGAIN_S)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look_at_lease)

    def _look_at_lease(self) -> None:
        self._set_timer()
        if not self._lease.held:
            self.any_may_have_changed()
