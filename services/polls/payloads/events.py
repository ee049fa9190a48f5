"""Server-Sent Events of a poll: each carries the state, so that nothing has to be sent again that was missed."""

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
    """What a follower has been told of: the poll's version, the results that it may see, and whether it is closed.

    As an event's id it tells of the results no more than they do themselves: a withheld vote changes nothing in it.
    """

    version: str = ""
    results: str = ""
    status: str = ""

    @classmethod
    def read(cls, event_id: str) -> "Position":
        """The position of an id that we have sent; of any other text one that nothing is at."""
        return cls(*event_id.split(".")) if _EVENT_ID.fullmatch(event_id) else cls()

    def __str__(self) -> str:
        return ".".join(self)


_EVENT_ID: Final = re.compile(r"[0-9]{1,19}\.[0-9A-Za-z_-]{16}\.(open|closed)")


class Event(NamedTuple):
    """One event, and where a follower is who has received it."""

    name: str
    data: bytes
    position: Position

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(self.position).encode(), self.name.encode(), self.data)


class News(NamedTuple):
    """A poll as it is told to those who see as much of its results; `at` is where they are who have been told it."""

    poll: bytes
    results: bytes
    at: Position

    @classmethod
    def of(cls, state: PollState, sight: Audience, before: "News | None" = None) -> "News":
        """What there is to tell of the poll. Where nothing of it has changed that may be seen, that is what was told
        `before`, whose `calculatedAt` does not say when somebody has voted whose vote is withheld.
        """
        results = ResultsPayload.of(state.results(sight))
        at = Position(str(state.poll.version), _digest(results), results.status)
        if before is not None and before.at == at:
            return before
        return cls(msgspec.json.encode(PollPayload.of(state)), msgspec.json.encode(results), at)

    def since(self, seen: Position) -> Iterator[Event]:
        """The events for someone who has been told what was at `seen`."""
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
    """The same for the same results, whenever they are calculated."""
    figures = msgspec.structs.replace(results, calculated_at=None)
    return urlsafe_b64encode(hashlib.sha256(msgspec.json.encode(figures)).digest()[:12]).decode()
