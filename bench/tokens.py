"""`python -m bench.tokens`: measure how long finding and reviewing tokens takes among 100,000, as the caller sees it.

It fills an embedded PostgreSQL with tokens of many kinds (`bench/tokens_data.py`), starts one token authority on it,
and sends each kind of request (`bench/tokens_requests.py`) over HTTP, one at a time, with new values each time. The
kinds alternate, so that other load on the machine affects all of them alike. `ratio` is a kind's p95 divided by that of
showing one token. The settings pages (`bench/tokens_pages.py`) are measured in the same way, and weighed. At the end it
issues, changes and revokes tokens, which the indexes must not make slow.
"""

import math
import os
import random
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import msgspec
from cyclopts import App, Parameter

from bench.report import align_rows, report_progress, run
from bench.stack import start_stack
from bench.tokens_data import fill
from bench.tokens_pages import MAX_FILE_BYTES, MAX_PAGE_BYTES, PAGE_LIMIT_MS, kinds_of_pages, sign_in, weigh
from bench.tokens_requests import BASELINE, LIST, Calls, RequestKind, first_ids, kinds_of_requests

LEASE_S: Final = 5.0
WRITES: Final = 100
REVOKED: Final = 12_000
"""Tokens revoked in one call."""
UNTIMED: Final = 8
"""Requests of each kind before the timed ones, so that statements are prepared and pages are in memory."""

app = App(name="bench.tokens", help="Measure how long finding and reviewing tokens takes.", version_flags=[])


class Timed(msgspec.Struct, frozen=True):
    """The times of one kind of request, in milliseconds, by nearest rank."""

    request: str
    n: int
    p50: float
    p95: float
    ratio: float


class Report(msgspec.Struct, frozen=True):
    """The result of a run, and what it was measured on."""

    tokens: int
    cores: int
    postgres: str
    rows: list[Timed]
    heaviest_page_bytes: int
    styles_and_scripts_bytes: int
    writes_ms: dict[str, float]

    def text(self) -> str:
        """Return a line about the conditions, the table, and a line for each kind of change."""
        conditions = f"{self.tokens} tokens; {self.cores} cores; {self.postgres}; times in ms; ratio to: {BASELINE}"
        rows = [(row.request, str(row.n), f"{row.p50:.1f}", f"{row.p95:.1f}", f"{row.ratio:.1f}") for row in self.rows]
        table = align_rows([("request", "n", "p50", "p95", "ratio"), *rows])
        weights = (
            f"the heaviest page: {self.heaviest_page_bytes} bytes; limit {MAX_PAGE_BYTES}",
            f"styles and scripts together: {self.styles_and_scripts_bytes} bytes; limit {MAX_FILE_BYTES}",
        )
        writes = (f"{what}: {ms:.1f} ms" for what, ms in self.writes_ms.items())
        return "\n".join((conditions, "", *table, "", *weights, "", *writes))


@app.default
def main(
    *,
    tokens: int = 100_000,
    requests: int = 100,
    limit_ms: float = 50.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure how long finding and reviewing tokens takes. The exit status is 1 if a p95 or a weight exceeds its limit.

    Parameters
    ----------
    tokens
        Tokens in the database.
    requests
        Requests of each kind.
    limit_ms
        The greatest allowed p95 of a request of the API, in milliseconds. That of a page is 100.
    as_json
        Print JSON instead of the table.
    """
    report = run(lambda folder: _measure(folder, tokens, requests))
    print(msgspec.json.encode(report).decode() if as_json else report.text())
    slow = [row.request for row in report.rows if row.p95 > (PAGE_LIMIT_MS if _is_page(row) else limit_ms)]
    if slow:
        sys.exit(f"bench: the p95 exceeds its limit: {'; '.join(slow)}")
    if report.heaviest_page_bytes > MAX_PAGE_BYTES or report.styles_and_scripts_bytes > MAX_FILE_BYTES:
        sys.exit("bench: a page, or the styles and scripts, are heavier than their limit")


def _is_page(row: Timed) -> bool:
    return row.request.startswith("page:")


async def _measure(folder: Path, tokens: int, requests: int) -> Report:
    report_progress("starting PostgreSQL")
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(start_stack(folder, LEASE_S))
        await opened.enter_async_context(stack.redis())
        running = await opened.enter_async_context(stack.services(0))
        report_progress(f"filling it with {tokens} tokens")
        await fill(stack.postgres_url, tokens)
        headers = {"Authorization": f"Bearer {stack.admin_key}"}
        cookies = aiohttp.CookieJar(unsafe=True)  # keeps cookies of an IP address too
        session = aiohttp.ClientSession(running.url, headers=headers, cookie_jar=cookies)
        calls = Calls(await opened.enter_async_context(session))
        await sign_in(session, stack.admin_key, running.url)
        kinds = await kinds_of_requests(calls, random.Random(2))
        pages = list(kinds_of_pages(await first_ids(calls), random.Random(3)))
        report_progress(f"sending {requests} requests of each of {len(kinds) + len(pages)} kinds")
        rows = await _measure_reads(calls, [*kinds, *pages], requests)
        heaviest, files = await weigh(calls, pages)
        report_progress("issuing, changing and revoking")
        writes_ms = await _measure_writes(calls)
        postgres, _ = await stack.versions()
    return Report(tokens, os.cpu_count() or 0, postgres, rows, heaviest, files, writes_ms)


async def _measure_reads(calls: Calls, kinds: Sequence[RequestKind], requests: int) -> list[Timed]:
    times_ms: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for number in range(UNTIMED + requests):
        for kind in kinds:
            _, elapsed_ms = await calls.send("GET", kind.draw())
            if number >= UNTIMED:
                times_ms[kind.name].append(elapsed_ms)
    base = _p95(times_ms[BASELINE])
    return [
        Timed(name, len(each), round(_rank(each, 0.5), 2), round(_p95(each), 2), round(_p95(each) / base, 2))
        for name, each in times_ms.items()
    ]


async def _measure_writes(calls: Calls) -> dict[str, float]:
    issued, changed = [], []
    for number in range(WRITES):
        token = {"name": f"Issued {number}", "description": "What it is for. " * 15, "owner": "ada"}
        read, elapsed_ms = await calls.send("POST", LIST, {**token, "scopes": [f"polls:read:WS{number}"]})
        issued.append(elapsed_ms)
        path = f"{LIST}/{msgspec.json.decode(read)['id']}"
        changed.append((await calls.send("PATCH", path, {"name": f"Changed {number}", "owner": "bob"}))[1])
    before = await _creation_time_after(calls, REVOKED)
    body = {"reason": "unneeded", "status": "active", "issued_before": before}
    bulk, revoked_ms = await calls.send("POST", f"{LIST}/revoke", body)
    return {
        "issuing a token, p95": _p95(issued),
        "changing a token, p95": _p95(changed),
        f"revoking {msgspec.json.decode(bulk)['revoked']} tokens in one call": revoked_ms,
    }


async def _creation_time_after(calls: Calls, count: int) -> str:
    """Return a time before which `count` of the active tokens were created."""
    query, created_at = {"status": "active", "sort": "created_at", "limit": "200"}, ""
    for _ in range(count // 200):
        page = await calls.get(LIST, query)
        created_at = page["items"][-1]["created_at"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    return created_at


def _p95(times_ms: Sequence[float]) -> float:
    return _rank(times_ms, 0.95)


def _rank(times_ms: Sequence[float], share: float) -> float:
    return sorted(times_ms)[math.ceil(share * len(times_ms)) - 1]


if __name__ == "__main__":
    app()
