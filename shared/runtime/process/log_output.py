"""Write log lines to a stream in batches: writing each one at once costs more than the request that it is about."""

import asyncio
import atexit
from contextlib import suppress
from typing import Final, TextIO

from shared.runtime.process.redaction import Redact

FLUSH_EVERY_S: Final = 0.1
"""How long a line may wait."""
MAX_WAITING: Final = 64 * 1024
"""The characters that may wait; more are written at once."""


class LogOutput:
    """A stream whose lines are redacted. `add` delays a line, `write` does not; their order is kept.

    Without an event loop nothing is delayed. Delayed lines are written when the process ends, also by an exception.
    """

    def __init__(self, stream: TextIO, redact: Redact) -> None:
        self._stream = stream
        self._redact = redact
        self._waiting: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        atexit.register(self.flush)

    def add(self, line: str) -> None:
        """Write a line within `FLUSH_EVERY_S`."""
        self._waiting.append(line)
        self._size += len(line)
        if self._size > MAX_WAITING:
            self.flush()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self._flush_in_time)
            except RuntimeError:
                self.flush()

    def write(self, text: str) -> None:
        """Write text now, after the lines that wait. For `logging.StreamHandler`."""
        self._waiting.append(text.removesuffix("\n"))
        self.flush()

    def flush(self) -> None:
        """Write the lines that wait. Any thread may call it."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        if not waiting:
            return
        text = self._redact("\n".join(waiting))
        with suppress(OSError, ValueError):  # the stream is closed: nobody reads it
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _flush_in_time(self) -> None:
        self._timer = None
        self.flush()
