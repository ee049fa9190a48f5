"""`python -m bench.soak`: load the whole stack for minutes or hours, and show what grows.

The database of the authority has a million tokens (`bench/tokens_data.py`), some of which the clients hold. Meanwhile
two polls processes are read with cached and with unknown tokens, ballots are cast, tokens are introspected, listed,
created and revoked, and an administrator reads the settings pages.

Every few seconds it samples the memory and the open files of each process, the connections to PostgreSQL and the sizes
of tables. Anonymous memory is what a process has allocated; resident memory (RSS) includes shared files. `slope`
is a linear regression over the samples after the warm-up, with its standard error, which assumes independent samples.
Memory moves in steps, so over ten minutes a slope of a few MB per hour means nothing; run it for an hour to see less.
"""

import asyncio
import math
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import asyncpg
import msgspec
import psutil
from aiohttp import encode_basic_auth
from cyclopts import App, Parameter
from msgspec import Struct

from bench.errors import BenchError
from bench.load import Connection, connection_to
from bench.report import Conditions, align_rows, describe_machine, report_progress, run
from bench.site import OPTIONS, Integrator, create_full_token
from bench.stack import Running, Stack, start_stack
from bench.tokens_data import add_held_tokens, fill
from bench.tokens_pages import kinds_of_pages, sign_in
from bench.tokens_requests import Calls, RequestFailed, first_ids, kinds_of_requests
from pollgate.client import ClientError
from shared.contract.token import ACCESS_TOKEN, mint

LEASE_S: Final = 5.0
GUARDS: Final = 2
POLLS: Final = 20
AUTHORITY_CONNECTIONS: Final = 4
SAMPLE_EVERY_S: Final = 5.0
READS_PER_S: Final = 100.0
RATES: Final = {
    "introspections": 20.0,
    "unknown tokens": 5.0,
    "ballots": 10.0,
    "lists of tokens": 1.0,
    "settings pages": 1.0,
    "tokens created and revoked": 1.0,
}
MAX_CONCURRENT: Final = 20
"""Requests of one kind under way. Further ones are left out, and counted."""
MB: Final = 1024 * 1024
RSS: Final = "MB RSS"
ANONYMOUS: Final = "MB anonymous"

Values = dict[tuple[str, str], float]
"""The values of one sample, by name and unit."""

app = App(name="bench.soak", help="Load the whole stack for minutes or hours, and show what grows.", version_flags=[])


class Trend(Struct, frozen=True):
    """A quantity after the warm-up: its first and last value, and its slope per hour with the standard error."""

    what: str
    unit: str
    first: float
    last: float
    most: float
    slope_per_h: float
    error_per_h: float

    @classmethod
    def of(cls, what: str, unit: str, samples: Sequence[tuple[float, float]]) -> "Trend":
        """Return the regression over samples of seconds and values."""
        slope, error = regression(samples)
        values = [value for _, value in samples]
        return cls(what, unit, values[0], values[-1], max(values), slope * 3600, error * 3600)

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        numbers = (f"{value:.1f}" for value in (self.first, self.last, self.most))
        return (self.what, self.unit, *numbers, f"{self.slope_per_h:+.1f} ± {self.error_per_h:.1f}")


def regression(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of a least-squares line through the samples, and its standard error."""
    if len(samples) < 3:
        raise BenchError("the run is too short for a slope")
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
    residual = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in samples)
    return slope, math.sqrt(residual / (count - 2) / spread)


class Report(Conditions, frozen=True):
    """The result of a run, and what it was measured on."""

    tokens: int
    minutes: float
    warm_up_minutes: float
    requests: dict[str, int]
    left_out: dict[str, int]
    failed: dict[str, int]
    trends: Sequence[Trend]

    def text(self) -> str:
        """Return the conditions, the requests and the table."""
        conditions = (
            f"{self.conditions}; {self.tokens} tokens; "
            f"{self.minutes:g} minutes, the first {self.warm_up_minutes:g} not measured; slope per hour"
        )
        sent = "; ".join(f"{count} {what}" for what, count in self.requests.items())
        missing = "; ".join(f"{count} {what}" for what, count in self.left_out.items()) or "none"
        failed = "; ".join(f"{count} {what}" for what, count in self.failed.items()) or "none"
        head = ("what", "unit", "first", "last", "most", "slope")
        table = align_rows([head, *(trend.cells() for trend in self.trends)])
        return "\n".join(
            (
                conditions,
                f"sent: {sent}",
                f"left out, because of slow answers: {missing}",
                f"failed: {failed}",
                "",
                *table,
            )
        )


@app.default
def main(
    *,
    minutes: float = 10.0,
    tokens: int = 1_000_000,
    held: int = 20_000,
    limit_mb_per_hour: float = 30.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Load the stack and show what grows. The exit status is 1 if a request fails, or memory grows too fast.

    Parameters
    ----------
    minutes
        How long to load it. The first third, up to six minutes, is the warm-up.
    tokens
        Tokens in the database.
    held
        Tokens with which the clients call polls.
    limit_mb_per_hour
        The fastest growth allowed for a process of the services: its slope, less two standard errors.
    as_json
        Print JSON instead of the table.
    """
    report = run(lambda folder: _measure(folder, minutes, tokens, held))
    print(msgspec.json.encode(report).decode() if as_json else report.text())
    if report.failed:
        sys.exit("bench: requests failed")
    growing = [
        trend.what
        for trend in report.trends
        if trend.unit == ANONYMOUS and trend.slope_per_h - 2 * trend.error_per_h > limit_mb_per_hour
    ]
    if growing:
        sys.exit(f"bench: grows by more than {limit_mb_per_hour:g} MB per hour: {', '.join(growing)}")


async def _measure(folder: Path, minutes: float, tokens: int, held: int) -> Report:
    report_progress("starting PostgreSQL")
    warm_up_s = min(360.0, minutes * 60 / 3)
    async with start_stack(folder, LEASE_S) as stack, stack.redis(), stack.services(GUARDS) as running:
        report_progress(f"filling it with {tokens} tokens")
        await fill(stack.postgres_url, tokens)
        secrets = await add_held_tokens(stack.postgres_url, held, running.endpoint_id)
        async with AsyncExitStack() as opened:
            clients = await _connect(opened, stack, running, secrets)
            report_progress(f"using each of {held} tokens once")
            await clients.read_each(secrets)
            for _ in range(AUTHORITY_CONNECTIONS):  # only now: one without a request is closed after ten seconds
                clients.authority.append(await opened.enter_async_context(connection_to(running.service.port)))
            report_progress(f"loading the stack for {minutes:g} minutes")
            sampler = Sampler(stack, running)
            samples = await _load(clients, sampler, minutes * 60)
        postgres, redis = await stack.versions()
    begins = samples[0][0] + warm_up_s
    kept = [(at - begins, values) for at, values in samples if at >= begins]
    trends = [Trend.of(what, unit, [(at, values[what, unit]) for at, values in kept]) for what, unit in kept[0][1]]
    return Report(
        describe_machine(),
        os.cpu_count() or 0,
        platform.python_version(),
        postgres,
        redis,
        tokens,
        minutes,
        warm_up_s / 60,
        dict(clients.sent),
        dict(clients.left_out),
        dict(clients.failed),
        [trend for trend in trends if trend.unit != "rows MB" or trend.last - trend.first > 0.1],
    )


class Clients:
    """Everything that sends requests, and what it has sent."""

    def __init__(
        self, running: Running, secrets: Sequence[str], client_secret: str, integrator: Integrator, calls: Calls
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.polls: list[Connection] = []
        self.authority: list[Connection] = []
        self.listed: list[Callable[[], str]] = []
        self.pages: list[Callable[[], str]] = []
        self.poll_ids: list[str] = []
        self._running = running
        self._secrets = secrets
        self._authorization = encode_basic_auth("polls", client_secret)
        self._integrator = integrator
        self._calls = calls
        self._rng = random.Random(7)
        self._locks: dict[Connection, asyncio.Lock] = {}

    async def read_each(self, secrets: Sequence[str]) -> None:
        """Read polls with each token once, at each process."""

        async def read_all(guard: int) -> None:
            for secret in secrets:
                await self._read(guard, secret)

        await asyncio.gather(*(read_all(guard) for guard in range(len(self.polls))))

    def kinds(self) -> dict[str, tuple[float, Callable[[], Awaitable[None]]]]:
        """Return the rate per second and the function of each kind of request."""
        functions = (self._introspect, self._use_unknown, self._vote, self._list, self._open_page, self._revoke)
        rates = dict(zip(RATES, zip(RATES.values(), functions, strict=True), strict=True))
        return {"reads": (READS_PER_S, self._read_any), **rates}

    async def _read_any(self) -> None:
        await self._read(self._rng.randrange(len(self.polls)), self._rng.choice(self._secrets))

    async def _read(self, guard: int, secret: str) -> None:
        await self._expect(self.polls[guard], self._running.guards[guard].request(secret), 200)

    async def _use_unknown(self) -> None:
        guard = self._rng.randrange(len(self.polls))
        request = self._running.guards[guard].request(mint(ACCESS_TOKEN))
        await self._expect(self.polls[guard], request, 403, 429)

    async def _introspect(self) -> None:
        form = f"token={self._rng.choice(self._secrets)}"
        request = (
            f"POST /oauth2/introspect HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {self._authorization}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n{form}"
        )
        await self._expect(self._rng.choice(self.authority), request.encode(), 200)

    async def _vote(self) -> None:
        option = self._rng.choice(OPTIONS)["id"]
        await self._integrator.vote(self._rng.choice(self.poll_ids), f"person-{self._rng.randrange(10**9)}", option)

    async def _list(self) -> None:
        await self._calls.send("GET", self._rng.choice(self.listed)())

    async def _open_page(self) -> None:
        await self._calls.send("GET", self._rng.choice(self.pages)())

    async def _revoke(self) -> None:
        token = await self._running.authority.create_token("Short", ["polls:read:PLAT"])
        for guard in range(len(self.polls)):
            await self._read(guard, token.token)
        revocation = await self._running.authority.revoke_token(token.id, "unneeded")
        if not revocation.effective:
            raise BenchError("a revocation was not effective")
        for guard, connection in enumerate(self.polls):
            await self._expect(connection, self._running.guards[guard].request(token.token), 403, 429)

    async def _expect(self, connection: Connection, request: bytes, *statuses: int) -> None:
        """Send one request at a time on a connection. Raise `BenchError` for another status."""
        async with self._locks.setdefault(connection, asyncio.Lock()):
            response = await connection.send(request, limit_s=30)
        if response.status not in statuses:
            raise BenchError(f"status {response.status} instead of {statuses}: {response.body[:200]!r}")


async def _connect(opened: AsyncExitStack, stack: Stack, running: Running, secrets: Sequence[str]) -> Clients:
    jar = aiohttp.CookieJar(unsafe=True)  # keeps cookies of an IP address too
    headers = {"Authorization": f"Bearer {stack.admin_key}"}
    session = await opened.enter_async_context(aiohttp.ClientSession(running.url, headers=headers, cookie_jar=jar))
    polls = await opened.enter_async_context(aiohttp.ClientSession())
    token = await create_full_token(running.authority)
    integrator = Integrator(polls, f"http://127.0.0.1:{running.guards[0].port}", token)
    calls, rng = Calls(session), random.Random(8)
    await sign_in(session, stack.admin_key, running.url)
    clients = Clients(running, secrets, stack.client_secret, integrator, calls)
    ids = await first_ids(calls)
    clients.listed = [kind.draw for kind in await kinds_of_requests(calls, rng)]
    clients.pages = [kind.draw for kind in kinds_of_pages(ids, rng)]
    clients.poll_ids = [await integrator.create_poll(f"SOAK{number}") for number in range(POLLS)]
    await integrator.create_poll("PLAT")
    clients.polls = [await opened.enter_async_context(connection_to(guard.port)) for guard in running.guards]
    return clients


async def _load(clients: Clients, sampler: "Sampler", seconds: float) -> list[tuple[float, Values]]:
    """Send every kind at its rate, and return the samples."""
    until = time.monotonic() + seconds
    samples = []

    async def take_samples() -> None:
        while time.monotonic() < until:
            samples.append((time.monotonic(), await sampler.sample()))
            await asyncio.sleep(SAMPLE_EVERY_S)

    async with asyncio.TaskGroup() as running:
        running.create_task(take_samples())
        for what, (rate, send) in clients.kinds().items():
            running.create_task(_send(clients, what, rate, send, until))
    return samples


async def _send(clients: Clients, what: str, rate: float, send: Callable[[], Awaitable[None]], until: float) -> None:
    due_at, under_way = time.monotonic(), set[asyncio.Task[None]]()

    async def send_one() -> None:
        try:
            await send()
        except RequestFailed as error:
            clients.failed[f"{what}: {error.reason}"] += 1
            report_progress(str(error))
        except (BenchError, ClientError, OSError, EOFError, TimeoutError) as error:
            clients.failed[f"{what}: {str(error) or type(error).__name__}"] += 1
        else:
            clients.sent[what] += 1

    async with asyncio.TaskGroup() as group:
        while due_at < until:
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            if len(under_way) < MAX_CONCURRENT:
                task = group.create_task(send_one())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                clients.left_out[what] += 1
            due_at += 1 / rate


class Sampler:
    """Samples processes and the database. A value has a name and a unit."""

    def __init__(self, stack: Stack, running: Running) -> None:
        self._url = stack.postgres_url
        postgres, redis = stack.server_pids
        self._services = {
            "token authority": running.service.pid or 0,
            **{f"polls {number}": pid for number, pid in enumerate(running.guard_pids, 1)},
        }
        self._servers = {"PostgreSQL": postgres, "Redis": redis}

    async def sample(self) -> Values:
        """Return the values now. Memory is in MB of 2^20 bytes, of the servers that of all their processes."""
        values: Values = {}
        for name, pid in self._services.items():
            values[name, RSS], values[name, ANONYMOUS] = _memory_mb(pid)
            values[name, "open files"] = psutil.Process(pid).num_fds()
        for name, pid in self._servers.items():
            with_children = [pid, *(child.pid for child in psutil.Process(pid).children())]
            values[name, f"{ANONYMOUS}, all"] = sum(_memory_mb(each)[1] for each in with_children)
        connection = await asyncpg.connect(self._url)
        try:
            count = "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('token_authority', 'polls')"
            values["PostgreSQL", "connections"] = float(await connection.fetchval(count))
            for row in await connection.fetch(_SIZES):
                values[row["name"], "rows MB"] = row["bytes"] / MB
        finally:
            await connection.close()
        return values


_SIZES: Final = """
    SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid)::float AS bytes
    FROM pg_stat_user_tables WHERE schemaname IN ('token_authority', 'polls') ORDER BY 1
"""


_SIZE_NAMES: Final = ("VmRSS", "RssAnon")


def _memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident and the anonymous memory of a process; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (OSError, ProcessLookupError):
        return 0.0, 0.0
    sizes = {
        name: int(rest.split()[0]) / 1024
        for name, _, rest in (line.partition(":") for line in lines)
        if name in _SIZE_NAMES
    }
    return sizes.get("VmRSS", 0.0), sizes.get("RssAnon", 0.0)


if __name__ == "__main__":
    app()
