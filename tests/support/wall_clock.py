"""Wait for a suitable moment of the wall clock."""

import asyncio
import time


async def avoid_end_of_minute(seconds: float = 3.0) -> None:
    """Return when no minute ends within `seconds`: rate limits that are counted in memory then begin a new window."""
    left_s = 60 - time.time() % 60
    if left_s < seconds:
        await asyncio.sleep(left_s)
