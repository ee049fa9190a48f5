"""`python -m bench.scale`: one real token authority with up to a thousand guards and a hundred revocations per second.

PostgreSQL, Redis and the authority are real, and so are the followers of the guards (`bench/light_guards.py`). For each
number of guards and each rate, revocations are sent at that rate, whether or not earlier ones are answered. The table
has the times until their answers, which the authority sends when all guards have confirmed, the syncs per second, and
the processor time of the authority, of PostgreSQL and of the process with the guards.
"""

import asyncio
import math
import os
import platform
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import msgspec
from cyclopts import App, Parameter
from msgspec import Struct

from bench.errors import BenchError
from bench.light_guards import GuardsOrder, GuardsReport
from bench.load import connection_to
from bench.processes import busy_s_by_thread
from bench.report import Conditions, align_rows, describe_machine, report_progress, run
from bench.revocation import Spread
from bench.stack import Running, Stack, start_stack
from bench.tokens_data import fill

LEASE_S: Final = 5.0
TOKENS: Final = 5_000
SETTLE_S: Final = 5.0
"""After the last guard has got its lease: their syncs spread over their interval."""
START_LIMIT_S: Final = 60.0
ANSWER_LIMIT_S: Final = 10.0

app = App(name="bench.scale", help="Measure an authority with many guards.", version_flags=[])

_HEAD = (
    "guards",
    "revocations/s: sent",
    "answered",
    "answer: median",
    "p99",
    "max",
    "expired",
    "no answer",
    "syncs/s",
    "failed",
    "leases held",
    "messages/s of Redis",
    "authority",
    "PostgreSQL",
    "guards",
)


class Row(Struct, frozen=True, kw_only=True):
    """One number of guards at one rate. The last three are processor time as a share of one core."""

    guards: int
    rate: float
    answered_per_s: float
    answer_ms: Spread
    expired: int
    unanswered: int
    syncs_per_s: float
    failed_syncs: int
    leases_held: int
    messages_per_s: float
    authority_share: float
    postgres_share: float
    guards_share: float

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        times = (f"{value:.0f}" for value in (self.answer_ms.median, self.answer_ms.p99, self.answer_ms.max))
        shares = (f"{share:.0%}" for share in (self.authority_share, self.postgres_share, self.guards_share))
        return (
            str(self.guards),
            f"{self.rate:g}",
            f"{self.answered_per_s:.1f}",
            *times,
            str(self.expired),
            str(self.unanswered),
            f"{self.syncs_per_s:.0f}",
            str(self.failed_syncs),
            str(self.leases_held),
            f"{self.messages_per_s:.0f}",
            *shares,
        )


class Report(Conditions, frozen=True):
    """The result of a run, and what it was measured on."""

    workers: int
    rows: Sequence[Row]

    def text(self) -> str:
        """Return a line about the conditions, and the table."""
        conditions = f"{self.conditions}; {self.workers} workers of the authority; lease {LEASE_S:g} s; times in ms"
        return "\n".join((conditions, "", *align_rows([_HEAD, *(row.cells() for row in self.rows)])))


@app.default
def main(
    *,
    guards: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative="")] = (100, 300, 1000),
    rates: Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative="")] = (0, 1, 10, 100),
    seconds: float = 20.0,
    workers: int = 1,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure an authority with many guards.

    Parameters
    ----------
    guards
        Numbers of guards, measured one after the other.
    rates
        Revocations per second.
    seconds
        How long revocations are sent at each rate.
    workers
        Processes of the authority.
    as_json
        Print JSON instead of the table.
    """
    report = run(lambda folder: _measure(folder, guards, rates, seconds, workers))
    print(msgspec.json.encode(report).decode() if as_json else report.text())


async def _measure(folder: Path, guards: Sequence[int], rates: Sequence[float], seconds: float, workers: int) -> Report:
    report_progress("starting PostgreSQL")
    rows = []
    needed = math.ceil(sum(rates) * seconds * len(guards))
    settings = {"MAX_CONNECTIONS": "20000", "TOKEN_AUTHORITY_WORKERS": str(workers)}
    async with start_stack(folder, LEASE_S) as stack, stack.redis(), stack.services(0, authority=settings) as running:
        report_progress(f"filling it with {TOKENS} tokens")
        await fill(stack.postgres_url, max(TOKENS, 2 * needed))
        token_ids = await _active_tokens(stack.postgres_url, needed)
        for count in guards:
            async with _run_guards(stack, running, count) as (log, guards_pid):
                for rate in rates:
                    report_progress(f"{count} guards, {rate:g} revocations/s for {seconds:g} s")
                    meter = Meter(stack, running, log, guards_pid)
                    rows.append(await meter.measure(count, rate, seconds, token_ids))
        postgres, redis = await stack.versions()
    return Report(describe_machine(), os.cpu_count() or 0, platform.python_version(), postgres, redis, workers, rows)


async def _active_tokens(url: str, count: int) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT id FROM token_authority.token WHERE revoked_at IS NULL ORDER BY id LIMIT $1", count
        )
        return [row["id"] for row in rows]
    finally:
        await connection.close()


@asynccontextmanager
async def _run_guards(stack: Stack, running: Running, count: int) -> AsyncGenerator[tuple[Path, int], None]:
    """Run the guards in a process of their own during the block, which begins when all have a lease."""
    name = f"guards-{count}"
    order = GuardsOrder(count, running.service.port, stack.client_secret, stack.polls_redis_url)
    command = [sys.executable, "-m", "bench.light_guards", msgspec.json.encode(order).decode()]
    async with stack.process(name, command) as pid:
        log, deadline = stack.log(name), time.monotonic() + START_LIMIT_S
        while not (reports := _reports(log)) or reports[-1].held < count:
            if time.monotonic() > deadline:
                raise BenchError(f"not all guards get a lease: {log.read_text(encoding='utf-8')[-500:]}")
            await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLE_S)
        yield log, pid


def _reports(log: Path) -> list[GuardsReport]:
    """Return the reports that the guards have printed; their log has other lines too."""
    lines = [line for line in log.read_bytes().splitlines(keepends=True) if line.startswith(b'{"at"')]
    return [msgspec.json.decode(line, type=GuardsReport) for line in lines if line.endswith(b"\n")]


class _Revoked(Struct):
    effective: bool
    guards: dict[str, int]


class Meter:
    """Sends revocations and measures what they cost."""

    def __init__(self, stack: Stack, running: Running, log: Path, guards_pid: int) -> None:
        self._stack = stack
        self._running = running
        self._log = log
        self._guards_pid = guards_pid
        self._times_ms: list[float] = []
        self._expired = 0
        self._unanswered = 0
        self._busy: tuple[dict[str, float], ...] = ({}, {}, {})

    async def measure(self, guards: int, rate: float, seconds: float, token_ids: list[str]) -> Row:
        """Send revocations at the rate, and return what was measured. Take their tokens from `token_ids`."""
        began = time.time()
        busy_before = [dict(each) for each in self._busy_s()]
        started = time.perf_counter()
        async with asyncio.TaskGroup() as sent:
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                if number % max(1, round(rate)) == 0:
                    self._busy_s()
                sent.create_task(self._revoke(token_ids.pop()))
            while time.perf_counter() < started + seconds:
                await asyncio.sleep(0.5)
        took_s = time.perf_counter() - started
        authority, postgres, of_guards = (
            (sum(after.values()) - sum(before.values())) / took_s
            for after, before in zip(self._busy_s(), busy_before, strict=True)
        )
        await asyncio.sleep(1.5)  # the next report
        reports = [report for report in _reports(self._log) if began <= report.at <= began + took_s + 1]
        first, last = reports[0], reports[-1]
        reported_s = last.at - first.at
        return Row(
            guards=guards,
            rate=rate,
            answered_per_s=len(self._times_ms) / took_s,
            answer_ms=Spread.of(self._times_ms or [0.0]),
            expired=self._expired,
            unanswered=self._unanswered,
            syncs_per_s=(last.syncs - first.syncs) / reported_s,
            failed_syncs=last.failed - first.failed,
            leases_held=min(report.held for report in reports),
            messages_per_s=(last.pushes - first.pushes) / reported_s * guards,
            authority_share=authority,
            postgres_share=postgres,
            guards_share=of_guards,
        )

    async def _revoke(self, token_id: str) -> None:
        body = b'{"reason": "unneeded"}'
        request = (
            f"POST /v1/tokens/{token_id}/revoke HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self._stack.admin_key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        sent_at = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S), connection_to(self._running.service.port) as connection:
                response = await connection.send(request.encode() + body, limit_s=ANSWER_LIMIT_S)
        except (TimeoutError, OSError, EOFError):
            self._unanswered += 1
            return
        if response.status != 200:
            self._unanswered += 1
            return
        revoked = msgspec.json.decode(response.body, type=_Revoked)
        self._times_ms.append((time.perf_counter() - sent_at) * 1000)
        self._expired += revoked.guards["expired"]

    def _busy_s(self) -> tuple[dict[str, float], ...]:
        """Return the times of all threads so far, by process. A connection of PostgreSQL may end meanwhile."""
        pids = (self._running.service.pid or 0, self._stack.postgres_pid, self._guards_pid)
        for pid, busy in zip(pids, self._busy, strict=True):
            busy.update(busy_s_by_thread([pid]))
        return self._busy


if __name__ == "__main__":
    app()
