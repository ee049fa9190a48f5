"""`python -m bench.load`: reads at a steady rate until SIGTERM, from a process of its own; then says how it went.

Each guard has a share of the rate and one connection. A request that takes longer than its turn delays those behind it,
which are then sent at once, so that the rate holds unless a guard cannot keep up; the report says what was reached.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence

import msgspec
import uvloop

from bench.guarded import ACCEPTED, Place, connected


class LoadOrder(msgspec.Struct, frozen=True):
    """What to send: so many requests a second over all guards together."""

    rate: float
    token: str
    endpoint_id: str
    ports: Sequence[int]


class LoadReport(msgspec.Struct, frozen=True):
    """What came of it; `others` counts answers that were no success."""

    accepted: int
    others: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second that were let through."""
        return self.accepted / self.seconds


async def send_load(order: LoadOrder) -> LoadReport:
    """Send until SIGTERM."""
    stop, statuses = asyncio.Event(), list[int]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for number, port in enumerate(order.ports):
            place = Place(port, order.endpoint_id)
            first_at = started + number / order.rate
            senders.create_task(_send(place, order, first_at, stop, statuses))
    accepted = statuses.count(ACCEPTED)
    return LoadReport(accepted, len(statuses) - accepted, time.perf_counter() - started)


async def _send(place: Place, order: LoadOrder, first_at: float, stop: asyncio.Event, statuses: list[int]) -> None:
    due_at, request = first_at, place.request(order.token)
    async with connected(place) as connection:
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            statuses.append(await connection.get(request))
            due_at += len(order.ports) / order.rate


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(send_load(msgspec.json.decode(sys.argv[1], type=LoadOrder)))
    print(msgspec.json.encode(report).decode())
