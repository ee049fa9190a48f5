"""Many clients who vote at once, retry whatever goes unanswered, and keep account of what they have been told.

Each has participants of its own, whose ballots it casts one after the other, going round the services' ports. What has
been accepted in the end is therefore known to the last ballot, and can be held against what was counted.

An attempt whose answer was lost may still be under way when its retry has succeeded, so a client that has lost an
answer says the same again until it is answered, and nothing else of that participant after it.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import msgspec

from bench.guarded import Answered, Connection, connection_to

ATTEMPTS: Final = 400
PAUSE_S: Final = 0.05
"""After a failure, before the same is tried at the next port."""
SHARE_CHANGED: Final = 0.15
"""Of the participants, who go on to do something else with their ballot: cast another one, or take it back."""


class VotersError(Exception):
    """Something was answered that may not be answered."""


class Poll(NamedTuple):
    """A poll that is voted in."""

    id: str
    options: Sequence[str]
    is_multiple: bool
    allows_revote: bool


class Tally(NamedTuple):
    """What the ballots of a poll come to."""

    participants: int
    votes: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, ballots: Sequence[Sequence[str]]) -> "Tally":
        """Of these ballots; one without options does not count."""
        counts = Counter(option for ballot in ballots for option in ballot)
        return cls(sum(1 for ballot in ballots if ballot), sum(counts.values()), dict(counts))


class _NotSent(Exception):
    """Nothing listens there, so what was asked for has not happened."""


class _Unanswered(Exception):
    """It is not known whether what was asked for has happened."""


class Voters:
    """All clients. `casts` counts ballots that were accepted, `lost` attempts without an answer that says anything."""

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
        """Cast ballots until it is over, which each client asks when it is done with a participant.

        Raises an `ExceptionGroup` of `VotersError`, also where a ballot cannot be brought to an end.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number, is_over))

    def tally(self, poll: Poll) -> Tally:
        """What has been accepted."""
        return Tally.of(list(self._accepted[poll.id].values()))

    def ballots(self, poll: Poll) -> Mapping[str, tuple[str, ...]]:
        """What has been accepted, by participant; without options where it was taken back for good."""
        return self._accepted[poll.id]

    async def _client(self, number: int, is_over: Callable[[], bool]) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        async with _Connections(self._ports, number) as connections:
            while not is_over():
                participant = f"participant-{next(self._serials)}"
                await _BallotBox(self, connections, chance.choice(self._polls), participant).vote(chance)

    def request(self, method: str, poll: Poll, participant: str, body: Any = None) -> bytes:
        """About one ballot, as it goes over the wire."""
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} /v1/polls/{poll.id}/votes/{participant} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def note(self, poll: Poll, participant: str, option_ids: tuple[str, ...] | None) -> None:
        """The participant's ballot has been accepted, or taken back: for good, or with `None` as if there were none."""
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
        """Cast a ballot, and perhaps do something else with it."""
        await self._cast(self._choice(chance), is_first=True)
        if not self._is_certain or chance.random() >= SHARE_CHANGED:
            return
        if chance.random() < 0.3:
            await self._withdraw()
        elif self._poll.allows_revote:
            await self._cast(self._choice(chance), is_first=False)
        else:
            await self._cast_in_vain(self._choice(chance))

    def _choice(self, chance: random.Random) -> tuple[str, ...]:
        most = len(self._poll.options) if self._poll.is_multiple else 1
        return tuple(chance.sample(self._poll.options, chance.randint(1, most)))

    async def _cast(self, option_ids: tuple[str, ...], *, is_first: bool) -> None:
        """A 409 after a lost answer says that the lost attempt was accepted, if the ballot is the one that was sent."""
        answer = await self._asked("PUT", {"optionIds": option_ids})
        if answer.status == 409 and is_first and not self._is_certain and not self._poll.allows_revote:
            answer = await self._asked("GET")
            if answer.status == 200 and tuple(msgspec.json.decode(answer.body)["optionIds"]) != option_ids:
                raise VotersError(f"another ballot than was cast is kept: {answer}, not {option_ids}")
        if answer.status not in (200, 201) or (self._is_certain and is_first != (answer.status == 201)):
            raise VotersError(f"a ballot was answered with {answer}")
        self._voters.note(self._poll, self._participant, option_ids)
        self._voters.casts += 1

    async def _cast_in_vain(self, option_ids: tuple[str, ...]) -> None:
        answer = await self._asked("PUT", {"optionIds": option_ids})
        if answer.status != 409:
            raise VotersError(f"a second ballot, in a poll that allows one, was answered with {answer}")

    async def _withdraw(self) -> None:
        """A 404 after a lost answer says that the lost attempt has taken the ballot back."""
        answer = await self._asked("DELETE")
        if answer.status != 204 and (answer.status != 404 or self._is_certain):
            raise VotersError(f"taking a ballot back was answered with {answer}")
        self._voters.note(self._poll, self._participant, None if self._poll.allows_revote else ())

    async def _asked(self, method: str, body: Any = None) -> Answered:
        """The first answer that says something, however often it takes."""
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
    """One to each port, opened when it is needed, and again when it has broken."""

    def __init__(self, ports: Sequence[int], first: int) -> None:
        self._ports = ports
        self._turn = first
        self._open: dict[int, tuple[Connection, AsyncExitStack]] = {}

    async def __aenter__(self) -> "_Connections":
        return self

    async def __aexit__(self, *_: object) -> None:
        for port in list(self._open):
            await self._close(port)

    async def send(self, request: bytes) -> Answered:
        """What the next port answers. Raises `_NotSent`, `_Unanswered`, and `VotersError` where the service fails."""
        port = self._ports[self._turn % len(self._ports)]
        self._turn += 1
        try:
            connection = await self._connection(port)
        except OSError:
            raise _NotSent from None
        try:
            answer = await connection.send(request)
        except (TimeoutError, EOFError, OSError):
            await self._close(port)
            raise _Unanswered from None
        if answer.status == 503:
            raise _Unanswered
        if answer.status >= 500:
            raise VotersError(f"the service has failed: {answer}")
        return answer

    async def _connection(self, port: int) -> Connection:
        if port not in self._open:
            stack = AsyncExitStack()
            self._open[port] = await stack.enter_async_context(connection_to(port)), stack
        return self._open[port][0]

    async def _close(self, port: int) -> None:
        if port in self._open:
            await self._open.pop(port)[1].aclose()
