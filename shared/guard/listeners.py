"""The callbacks that a guard runs when a token may no longer work. For streams; a request needs none.

It knows tokens by their SHA-256 only, and does not decide whether a token works.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.guard.lease import Lease

LEASE_CHECK_S: Final = 0.25
"""The shortest time between two looks at the lease; also the interval while the guard has no lease."""

Listener = Callable[[], None]
"""Runs in the event loop step in which the state changes. It must neither block, await nor raise."""


class Listeners:
    """Run the listeners of a token when it changes, and all listeners when the lease has expired.

    Create one instance per guard. Without listeners, no timer runs.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._by_token: dict[bytes, set[Listener]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._by_token.values()))

    def add(self, digest: bytes, listener: Listener) -> None:
        """Run `listener` for this token from now on."""
        self._by_token.setdefault(digest, set()).add(listener)
        if self._timer is None:
            self._set_timer()

    def remove(self, digest: bytes, listener: Listener) -> None:
        """Stop running `listener` for this token; do nothing if it was not added."""
        listeners = self._by_token.get(digest, set())
        listeners.discard(listener)
        if not listeners:
            self._by_token.pop(digest, None)
        if not self._by_token and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def notify(self, digest: bytes) -> None:
        """Run the listeners of the token that has changed."""
        for listener in tuple(self._by_token.get(digest, ())):
            listener()

    def notify_all(self) -> None:
        """Run every listener: any token may have changed."""
        for digest in tuple(self._by_token):
            self.notify(digest)

    def _set_timer(self) -> None:
        delay_s = max(self._lease.remaining_s, LEASE_CHECK_S)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._check_lease)

    def _check_lease(self) -> None:
        self._set_timer()
        if not self._lease.is_held:
            self.notify_all()
