"""The repeated check of one token for as long as a stream sends data under it."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from shared.contract.introspection import Grant
from shared.guard.errors import GuardUnavailable
from shared.guard.guard import MAX_ATTEMPTS, Guard
from shared.guard.lease import Lease
from shared.guard.listeners import Listener

LEASE_WAIT_LIMIT_S: Final = 1.0
"""How long a check waits for a lease that the guard has lost or has not been granted yet."""
LONGEST_TIMER_S: Final = 3600.0


class TokenWatch:
    """Watch one token within a `with` block. It holds the token and passes it to the guard only.

    Guarantee: when `ensure_valid` has returned, then up to the next `await` the token works and its grant passes
    `check_grant`, as of every change that this guard has confirmed. So data that is sent in that same step of the event
    loop is sent before any revocation of the token is answered, and after that answer `ensure_valid` raises.

    `on_change` runs at once when the result of `ensure_valid` may have changed: in the step in which the guard applies
    a change of the token, which is before the sync that confirms it; when the guard resets; when its lease has
    expired; and when the token expires. It must neither block, await nor raise.

    Unlike a request, a stream needs the lease. An introspection says only that the token worked when the
    authority read it, and a revocation does not wait for a guard without a lease.
    """

    def __init__(
        self,
        guard: Guard,
        lease: Lease,
        token: str,
        *,
        check_grant: Callable[[Grant], None],
        on_change: Listener,
    ) -> None:
        self._guard = guard
        self._lease = lease
        self._token = token
        self._check_grant = check_grant
        self._on_change = on_change
        self._checked: Grant | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._registration = ExitStack()

    def __enter__(self) -> Self:
        self._registration.enter_context(self._guard.listen(self._token, self._invalidate))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._registration.close()
        self._set_expiry(None)

    async def ensure_valid(self) -> None:
        """Return in the event loop step in which the token was last found valid; without a wait if nothing changed.

        Raise what `Guard.check` and `check_grant` raise, and `GuardUnavailable` if the guard has no lease.
        """
        for _ in range(MAX_ATTEMPTS):
            if self._is_valid():
                return
            await self._check()
        if not self._is_valid():
            raise GuardUnavailable("the token changes faster than it can be checked")

    def _is_valid(self) -> bool:
        return self._checked is not None and self._lease.is_held and self._guard.expires_in_s(self._checked) > 0

    async def _check(self) -> None:
        if not await self._lease.is_held_within(LEASE_WAIT_LIMIT_S):
            raise GuardUnavailable("a stream sends nothing without a lease")
        grant = (await self._guard.check(self._token)).grant
        # No await from here on: the guard has just compared the answer with every change that it has applied.
        self._check_grant(grant)
        self._checked = grant
        self._set_expiry(grant)

    def _invalidate(self) -> None:
        self._checked = None
        self._on_change()

    def _set_expiry(self, grant: Grant | None) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if grant is not None and grant.expires_at_s < float("inf"):
            delay_s = min(max(0.0, self._guard.expires_in_s(grant)), LONGEST_TIMER_S)
            self._expiry = asyncio.get_running_loop().call_later(delay_s, self._check_expiry, grant)

    def _check_expiry(self, grant: Grant) -> None:
        if self._guard.expires_in_s(grant) <= 0:
            self._invalidate()
        else:
            self._set_expiry(grant)
