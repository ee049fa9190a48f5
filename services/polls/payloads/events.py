"""Server-Sent Events of a poll: each carries the state, so that nothing has to be sent again that was missed."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

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


def events_since(seen: Position, state: PollState, results: ResultsPayload) -> Iterator[Event]:
    """What there is to tell of the poll to someone who has been told what was at `seen`."""
    poll, is_closed = msgspec.json.encode(PollPayload.of(state)), state.is_closed
    at = seen._replace(version=str(state.poll.version))
    if at != seen:
        at = at if is_closed else at._replace(status="open")
        yield Event("poll", poll, at)
    before, at = at, at._replace(results=_digest(results))
    if at != before:
        yield Event("results", msgspec.json.encode(results), at)
    if is_closed and at.status != "closed":
        yield Event("closed", poll, at._replace(status="closed"))


def _digest(results: ResultsPayload) -> str:
    """The same for the same results, whenever they are calculated."""
    figures = msgspec.structs.replace(results, calculated_at=None)
    return urlsafe_b64encode(hashlib.sha256(msgspec.json.encode(figures)).digest()[:12]).decode()
