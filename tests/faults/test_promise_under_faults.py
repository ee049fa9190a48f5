"""The promise with real processes while each of them, and each connection between them, fails in turn.

`FAULTS_SECONDS` is the duration and `FAULTS_SEED` the seed of the order. `make faults` runs it for ten minutes.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from shared.contract.sync import revocation_bound_s
from tests.faults.cluster import LEASE_S, run_cluster
from tests.faults.faults import Faults
from tests.faults.load import Load
from tests.support.history import find_late_answers, find_violations_of_promise, longest_call_s

pytestmark = pytest.mark.slow

SECONDS: Final = float(os.environ.get("FAULTS_SECONDS", "25"))
SEED: Final = int(os.environ.get("FAULTS_SEED", secrets.randbelow(10**6)))
LIMIT_S: Final = 3.0
LONG_S: Final = 120.0


@pytest.mark.timeout(SECONDS * 1.5 + 150)
async def test_promise_holds_while_every_process_and_connection_fails(tmp_path: Path, output: Path) -> None:
    print(f"\nFAULTS_SEED={SEED} for {SECONDS:.0f} s", flush=True)
    async with (
        run_cluster(tmp_path, output) as cluster,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        load = Load(cluster, session, random.Random(SEED))
        await load.prepare()
        faults = Faults(cluster, load, random.Random(SEED + 1), longest_stop_s=15.0 if SECONDS >= LONG_S else 3.0)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(stop))
            await faults.run(SECONDS)
            stop.set()
        await load.wait_until_settled()
        lost = await load.find_lost()
        for process in cluster.services:
            process.must_run()
    for process in cluster.services:
        load.history.stops.extend(process.stops)
    _report(load, faults)

    broken = (
        find_violations_of_promise(load.history)
        + find_late_answers(load.history, LIMIT_S, LIMIT_S + revocation_bound_s(LEASE_S))
        + lost
    )
    assert not broken, f"FAULTS_SEED={SEED}:\n" + "\n".join(broken[:20])


def _report(load: Load, faults: Faults) -> None:
    requests, revocations = [*load.history.requests, *load.history.beyond], load.history.revocations
    outcomes = Counter(request.outcome for request in requests)
    print(f"{faults.seen.total()} faults: " + ", ".join(f"{name} {n}" for name, n in sorted(faults.seen.items())))
    print(
        f"{len(requests)} requests: {outcomes['accepted']} accepted, {outcomes['refused']} refused, "
        f"{outcomes['unknown']} unknown; {len(revocations)} revocations: "
        f"{sum(each.effective for each in revocations)} effective when answered\n"
        f"slowest request {longest_call_s(requests):.2f} s (including stopped processes), "
        f"slowest effective revocation {longest_call_s([each for each in revocations if each.effective]):.2f} s",
        flush=True,
    )
