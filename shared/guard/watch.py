"""Whether a token goes on to work, asked again and again by what answers with it over a long time."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from shared.contract.introspection import Grant
from shared.guard.errors import GuardUnavailable
from shared.guard.guard import MAX_ATTEMPTS, Guard
from shared.guard.lease import Lease
from shared.guard.watches import Tell

REGAIN_LIMIT_S: Final = 1.0
"""So long a lease that was lost, or has not come yet, is waited for."""
LONGEST_TIMER_S: Final = 3600.0


class Watch:
    """Watches one token within a `with` block. It holds the token, and shows it to nobody but the guard.

    What it promises: when `require` has returned, then up to the next `await` the token works and allows what `demand`
    demands, as of every change that this guard has said to have applied. So what is handed over in that same step is
    handed over before any revocation of the token is answered, and after that answer `require` raises.

    `tell` is called at once when the answer to `require` may have become another one: in the step in which a change of
    the token is applied, which is before the sync that confirms it; when the guard starts afresh; when its lease has
    run out; and when the token expires. It may not wait.

    Unlike a request, a stream goes nowhere without the lease: of an introspection, no more is known than that the token
    worked when it was read, and a revocation waits for no guard that has no lease.
    """

    def __init__(self, guard: Guard, lease: Lease, token: str, *, demand: Callable[[Grant], None], tell: Tell) -> None:
        self._guard = guard
        self._lease = lease
        self._token = token
        self._demand = demand
        self._tell_owner = tell
        self._checked: Grant | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._registration = ExitStack()

    def __enter__(self) -> Self:
        self._registration.enter_context(self._guard.watched(self._token, self._doubt))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._registration.close()
        self._set_expiry(None)

    async def require(self) -> None:
        """Return in the very step in which the token was last found good; without waiting where nothing has changed.

        Raises what `Guard.check` raises, and what `demand` does. `GuardUnavailable` also where there is no lease.
        """
        for _ in range(MAX_ATTEMPTS):
            if self._is_good():
                return
            await self._check()
        if not self._is_good():
            raise GuardUnavailable("the token changes faster than it can be checked")

    def _is_good(self) -> bool:
        return self._checked is not None and self._lease.held and self._guard.left_s(self._checked) > 0

    async def _check(self) -> None:
        if not await self._lease.is_held_within(REGAIN_LIMIT_S):
            raise GuardUnavailable("without a lease nothing is sent on a stream")
        grant = (await self._guard.check(self._token)).grant
        # From here on nothing waits: the guard has just held the answer against every change that it has applied.
        self._demand(grant)
        self._checked = grant
        self._set_expiry(grant)

    def _doubt(self) -> None:
        self._checked = None
        self._tell_owner()

    def _set_expiry(self, grant: Grant | None) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if grant is not None and grant.expires_at_s < float("inf"):
            delay_s = min(max(0.0, self._guard.left_s(grant)), LONGEST_TIMER_S)
            self._expiry = asyncio.get_running_loop().call_later(delay_s, self._look_at_expiry, grant)

    def _look_at_expiry(self, grant: Grant) -> None:
        if self._guard.left_s(grant) <= 0:
            self._doubt()
        else:
            self._set_expiry(grant)
