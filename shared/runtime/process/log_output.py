"""Write lines about requests in batches: it takes less time than to encode and write each by itself."""

import asyncio
import atexit
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TextIO

import msgspec

from shared.runtime.process.redaction import Redact

FLUSH_EVERY_S: Final = 0.1
"""How long a line may wait."""
MAX_WAITING: Final = 32
"""The lines that may wait; more are written at once. With many more, the processor's cache no longer has the first."""


class Line(Protocol):
    """A line that is encoded when it is written."""

    def to_line(self) -> Mapping[str, object]: ...


class LogOutput:
    """A stream whose lines are redacted. `add` delays a line, `write` does not; their order is kept.

    Without an event loop nothing is delayed. Delayed lines are written when the process ends, also by an exception.
    """

    def __init__(self, stream: TextIO, redact: Redact) -> None:
        self._stream = stream
        self._redact = redact
        self._waiting: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None
        atexit.register(self.flush)

    def add(self, line: Line) -> None:
        """Write a line as JSON within `FLUSH_EVERY_S`."""
        self._waiting.append(line)
        if len(self._waiting) >= MAX_WAITING:
            self.flush()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self._flush_in_time)
            except RuntimeError:
                self.flush()

    def write(self, text: str) -> None:
        """Write text now, after the lines that wait. For `logging.StreamHandler`."""
        self.flush()
        self._write(text)

    def flush(self) -> None:
        """Write the lines that wait. Any thread may call it."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write(_encode([line.to_line() for line in waiting]))

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the stream is closed: no one reads it
            self._stream.write(self._redact(text))
            self._stream.flush()

    def _flush_in_time(self) -> None:
        self._timer = None
        self.flush()


def _encode(lines: Sequence[Mapping[str, object]]) -> str:
    try:
        return _ENCODER.encode_lines(lines).decode()
    except UnicodeEncodeError:  # a lone surrogate in one of them
        return "".join(f"{json.dumps(line, default=str)}\n" for line in lines)


_ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)
