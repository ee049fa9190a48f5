"""Clients that vote at once, retry unanswered requests, and record every ballot that was accepted.

Each client has participants of its own. It casts their ballots one after the other, and sends each request to the next
service port. So the accepted ballots are known exactly and can be compared with the counted ones.

An attempt whose response was lost may still be running when its retry has succeeded. A client that has lost a response
therefore repeats the same request until it is answered, and leaves that participant's ballot alone from then on.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import msgspec

from bench.load import Connection, RawResponse, connection_to

ATTEMPTS: Final = 400
PAUSE_S: Final = 0.05
"""After a failure, before the request is sent to the next port."""
SHARE_CHANGED: Final = 0.15
"""The share of participants that then cast another ballot, or withdraw theirs."""


class VotersError(Exception):
    """The service sent a response that it must not send."""


class Poll(NamedTuple):
    """A poll of the contest."""

    id: str
    options: Sequence[str]
    is_multiple: bool
    allows_revote: bool


class Tally(NamedTuple):
    """The totals of a poll's ballots."""

    participants: int
    votes: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, ballots: Sequence[Sequence[str]]) -> "Tally":
        """Add up ballots, each a sequence of option ids; an empty one does not count."""
        counts = Counter(option for ballot in ballots for option in ballot)
        return cls(sum(1 for ballot in ballots if ballot), sum(counts.values()), dict(counts))


class _NotSent(Exception):
    """The connection was refused, so the request has had no effect."""


class _Unanswered(Exception):
    """The response was lost or a 503, so the request may have had its effect."""


class Voters:
    """All clients. `casts` counts accepted ballots, `lost` attempts with an unknown effect."""

    def __init__(self, polls: Sequence[Poll], ports: Sequence[int], token: str, seed: int) -> None:
        self.casts = 0
        self.lost = 0
        self._polls = polls
        self._ports = ports
        self._token = token
        self._seed = seed
        self._serials = itertools.count()
        self._accepted: dict[str, dict[str, tuple[str, ...]]] = {poll.id: {} for poll in polls}

    async def vote(self, clients: int, is_over: Callable[[], bool]) -> None:
        """Cast ballots until `is_over()`, which each client checks after each participant.

        Raise an `ExceptionGroup` of `VotersError`, also if a request is not answered in `ATTEMPTS` attempts.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number, is_over))

    def tally(self, poll: Poll) -> Tally:
        """Return the totals of the accepted ballots."""
        return Tally.of(list(self._accepted[poll.id].values()))

    def ballots(self, poll: Poll) -> Mapping[str, tuple[str, ...]]:
        """Return the accepted option ids by participant; none for a ballot that was withdrawn permanently."""
        return self._accepted[poll.id]

    async def _client(self, number: int, is_over: Callable[[], bool]) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        async with _Connections(self._ports, number) as connections:
            while not is_over():
                participant = f"participant-{next(self._serials)}"
                await _BallotBox(self, connections, chance.choice(self._polls), participant).vote(chance)

    def request(self, method: str, poll: Poll, participant: str, body: Any = None) -> bytes:
        """Return a request for one ballot, as bytes."""
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} /v1/polls/{poll.id}/votes/{participant} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def record(self, poll: Poll, participant: str, option_ids: tuple[str, ...] | None) -> None:
        """Record the participant's option ids: none if the ballot was withdrawn permanently, `None` if it is gone."""
        if option_ids is None:
            self._accepted[poll.id].pop(participant, None)
        else:
            self._accepted[poll.id][participant] = option_ids


class _BallotBox:
    """One participant in one poll."""

    def __init__(self, voters: Voters, connections: "_Connections", poll: Poll, participant: str) -> None:
        self._voters = voters
        self._connections = connections
        self._poll = poll
        self._participant = participant
        self._is_certain = True

    async def vote(self, chance: random.Random) -> None:
        """Cast a ballot and, with the probability `SHARE_CHANGED`, change or withdraw it."""
        await self._cast(self._choice(chance), is_first=True)
        if not self._is_certain or chance.random() >= SHARE_CHANGED:
            return
        if chance.random() < 0.3:
            await self._withdraw()
        elif self._poll.allows_revote:
            await self._cast(self._choice(chance), is_first=False)
        else:
            await self._cast_refused(self._choice(chance))

    def _choice(self, chance: random.Random) -> tuple[str, ...]:
        most = len(self._poll.options) if self._poll.is_multiple else 1
        return tuple(chance.sample(self._poll.options, chance.randint(1, most)))

    async def _cast(self, option_ids: tuple[str, ...], *, is_first: bool) -> None:
        """Cast a ballot. After a lost response, a 409 means that it was accepted, if the stored ballot is the same.

        A ballot without a name is secret, so it is not compared; the results show whether it was counted.
        """
        response = await self._send("PUT", {"optionIds": option_ids})
        if response.status == 409 and is_first and not self._is_certain and not self._poll.allows_revote:
            response = await self._send("GET")
            stored = msgspec.json.decode(response.body).get("optionIds")
            if stored is not None and tuple(stored) != option_ids:
                raise VotersError(f"the stored ballot is {response}, but {option_ids} was cast")
        if response.status not in (200, 201) or (self._is_certain and is_first != (response.status == 201)):
            raise VotersError(f"casting a ballot returned {response}")
        self._voters.record(self._poll, self._participant, option_ids)
        self._voters.casts += 1

    async def _cast_refused(self, option_ids: tuple[str, ...]) -> None:
        response = await self._send("PUT", {"optionIds": option_ids})
        if response.status != 409:
            raise VotersError(f"a second ballot in a poll that allows one returned {response}")

    async def _withdraw(self) -> None:
        """Withdraw the ballot. After a lost response, a 404 means that it was withdrawn."""
        response = await self._send("DELETE")
        if response.status != 204 and (response.status != 404 or self._is_certain):
            raise VotersError(f"withdrawing a ballot returned {response}")
        self._voters.record(self._poll, self._participant, None if self._poll.allows_revote else ())

    async def _send(self, method: str, body: Any = None) -> RawResponse:
        """Repeat the request until its effect is known, and return that response."""
        request = self._voters.request(method, self._poll, self._participant, body)
        for _ in range(ATTEMPTS):
            try:
                return await self._connections.send(request)
            except _NotSent:
                pass
            except _Unanswered:
                self._is_certain = False
                self._voters.lost += 1
            await asyncio.sleep(PAUSE_S)
        raise VotersError(f"{method} of a ballot was not answered in {ATTEMPTS} attempts")


class _Connections:
    """A connection to each port, opened when needed, and again after a failure."""

    def __init__(self, ports: Sequence[int], first: int) -> None:
        self._ports = ports
        self._next = first
        self._open: dict[int, tuple[Connection, AsyncExitStack]] = {}

    async def __aenter__(self) -> "_Connections":
        return self

    async def __aexit__(self, *_: object) -> None:
        for port in list(self._open):
            await self._close(port)

    async def send(self, request: bytes) -> RawResponse:
        """Send to the next port. Raise `_NotSent`, `_Unanswered`, or `VotersError` if the service fails."""
        port = self._ports[self._next % len(self._ports)]
        self._next += 1
        try:
            connection = await self._connection(port)
        except OSError:
            raise _NotSent from None
        try:
            response = await connection.send(request)
        except (TimeoutError, EOFError, OSError):
            await self._close(port)
            raise _Unanswered from None
        if response.status == 503:
            raise _Unanswered
        if response.status >= 500:
            raise VotersError(f"the service failed: {response}")
        return response

    async def _connection(self, port: int) -> Connection:
        if port not in self._open:
            stack = AsyncExitStack()
            self._open[port] = await stack.enter_async_context(connection_to(port)), stack
        return self._open[port][0]

    async def _close(self, port: int) -> None:
        if port in self._open:
            await self._open.pop(port)[1].aclose()
