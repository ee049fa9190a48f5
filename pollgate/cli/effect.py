"""How far a change is in force everywhere: waited for with patience, and told."""

import asyncio
import sys
from collections.abc import Awaitable
from typing import Final, TypeVar

from pollgate.cli.errors import CliError
from pollgate.cli.output import counted
from pollgate.client import Effect, Guards

QUIET_S: Final = 1.5
"""How long a change is waited for without a word."""

T = TypeVar("T")


async def patiently(change: Awaitable[T]) -> T:
    """The answer; who has to wait for it is told why."""
    task = asyncio.ensure_future(change)
    done, _ = await asyncio.wait({task}, timeout=QUIET_S)
    if not done:
        print(
            "Waiting until it is in force everywhere: for a guard that is cut off, until its lease is over. "
            "Ctrl-C ends the waiting, not the change.",
            file=sys.stderr,
        )
    return await task


def told_effect(effect: Effect | None) -> str:
    """What there is to say behind what was done: nothing where it is nothing to services."""
    if effect is None:
        return "."
    if effect.effective_by:
        return f"; in force everywhere by {effect.effective_by:%H:%M:%S.%f} UTC at the latest."
    guards = effect.guards or Guards(0, 0)
    confirmed = counted(guards.confirmed, "guard") + (f", {guards.expired} cut off" if guards.expired else "")
    return f"; in force everywhere after {effect.waited_ms or 0:.0f} ms ({confirmed})."


def require_effective(effect: Effect | None, remedy: str = "the same command again waits for the rest") -> None:
    """Raises `CliError` for what was waited for in vain."""
    if effect is not None and not effect.effective:
        raise CliError(f"the authority could not wait until it was in force everywhere; {remedy}")
