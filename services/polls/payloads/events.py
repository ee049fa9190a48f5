"""Server-sent events of a poll. Each carries the current state, so that missed events need not be sent again."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.payloads.polls import PollPayload
from services.polls.payloads.results import ResultsPayload


class Position(NamedTuple):
    """What a client has received: the version of the poll, a digest of the results that it may see, and the status.

    It is the id of an event. It reveals nothing about withheld results: a withheld vote does not change it.
    """

    version: str = ""
    results: str = ""
    status: str = ""

    @classmethod
    def read(cls, event_id: str) -> "Position":
        """Return the position that an id stands for, or the position before the first event if the id is invalid."""
        return cls(*event_id.split(".")) if _EVENT_ID.fullmatch(event_id) else cls()

    def __str__(self) -> str:
        return ".".join(self)


_EVENT_ID: Final = re.compile(r"[0-9]{1,19}\.[0-9A-Za-z_-]{16}\.(open|closed)")


class Event(NamedTuple):
    """An event, and the position of a client that has received it."""

    name: str
    data: bytes
    position: Position

    def encode(self) -> bytes:
        """Return the bytes to send."""
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(self.position).encode(), self.name.encode(), self.data)


class Snapshot(NamedTuple):
    """The encoded state of a poll for one audience. `at` is the position of a client that has received all of it."""

    poll: bytes
    results: bytes
    at: Position

    @classmethod
    def of(cls, state: PollState, audience: Audience, before: "Snapshot | None" = None) -> "Snapshot":
        """Return the state to send. Return `before` if the audience would see no difference.

        A new `calculatedAt` alone would reveal the time of a withheld vote.
        """
        results = ResultsPayload.of(state.results(audience))
        at = Position(str(state.poll.version), _digest(results), results.status)
        if before is not None and before.at == at:
            return before
        return cls(msgspec.json.encode(PollPayload.of(state)), msgspec.json.encode(results), at)

    def events_since(self, seen: Position) -> Iterator[Event]:
        """Yield the events for a client that is at the position `seen`."""
        is_closed = self.at.status == "closed"
        at = seen._replace(version=self.at.version)
        if at != seen:
            at = at if is_closed else at._replace(status="open")
            yield Event("poll", self.poll, at)
        before, at = at, at._replace(results=self.at.results)
        if at != before:
            yield Event("results", self.results, at)
        if is_closed and at.status != "closed":
            yield Event("closed", self.poll, self.at)


def _digest(results: ResultsPayload) -> str:
    """Return a digest of the results that does not depend on when they were calculated."""
    figures = msgspec.structs.replace(results, calculated_at=None)
    return urlsafe_b64encode(hashlib.sha256(msgspec.json.encode(figures)).digest()[:12]).decode()
