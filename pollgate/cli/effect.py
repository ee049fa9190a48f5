"""Wait until a change is effective everywhere, and describe its effect."""

import asyncio
import sys
from collections.abc import Awaitable
from typing import Final, TypeVar

from pollgate.cli.errors import CliError
from pollgate.cli.output import pluralize
from pollgate.client import Effect, Guards

NOTICE_AFTER_S: Final = 1.5
"""How long to wait for a change before a notice is printed."""

T = TypeVar("T")


async def wait_with_notice(change: Awaitable[T]) -> T:
    """Return the result of a change; print why it takes long, if it does."""
    task = asyncio.ensure_future(change)
    done, _ = await asyncio.wait({task}, timeout=NOTICE_AFTER_S)
    if not done:
        print(
            "Waiting until the change is effective everywhere. A disconnected guard takes until its lease expires. "
            "Ctrl-C stops the wait, not the change.",
            file=sys.stderr,
        )
    return await task


def describe_effect(effect: Effect | None) -> str:
    """Return the end of a sentence about a change; `None` is a change that does not concern services."""
    if effect is None:
        return "."
    if effect.effective_by:
        return f"; effective everywhere by {effect.effective_by:%H:%M:%S.%f} UTC at the latest."
    guards = effect.guards or Guards(0, 0)
    confirmed = pluralize(guards.confirmed, "guard") + (f", {guards.expired} disconnected" if guards.expired else "")
    return f"; effective everywhere after {effect.waited_ms or 0:.0f} ms ({confirmed})."


def require_effective(effect: Effect | None, advice: str = "repeat the command to wait again") -> None:
    """Raise `CliError` where the wait ended before the change was effective."""
    if effect is not None and not effect.effective:
        raise CliError(f"the change is not yet effective everywhere; {advice}")
