"""The promise of exact revocation under thousands of seeded schedules, with the real code in virtual time.

A schedule that breaks it is reported by its seed. `SIMULATION_SEED=… make test ARGS='-n 0 -s tests/simulation'`
replays it. `SIMULATION_SCHEDULES` is the number of schedules. `make test` runs the first 50, `make test-rest` the rest.
"""

import logging
import os
from collections.abc import Generator
from typing import Any, Final

import pytest

from tests.simulation.loop import simulate
from tests.simulation.world import World

SCHEDULES: Final = int(os.environ.get("SIMULATION_SCHEDULES", "2000"))
FEW: Final = 50
PARTS: Final = 8
LENGTH_S: Final = 1.0
SEED: Final = os.environ.get("SIMULATION_SEED")


def run_schedule(seed: int) -> World:
    async def run() -> World:
        world = World(seed)
        await world.run(LENGTH_S)
        return world

    return simulate(run())


@pytest.fixture(autouse=True)
def _no_logs() -> Generator[None, None, None]:
    """Disable logs: thousands of guards would log their leases."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def parts() -> list[Any]:
    """Return ranges of seeds as test parameters: the first few, and the rest in equal parts."""
    if SEED:
        return [range(int(SEED), int(SEED) + 1)]
    few = range(min(FEW, SCHEDULES))
    others = [range(FEW + part, SCHEDULES, PARTS) for part in range(PARTS)]
    return [few, *(pytest.param(seeds, marks=pytest.mark.slow) for seeds in others if seeds)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seeds", parts(), ids=str)
def test_no_request_sent_after_effective_revocation_is_accepted(seeds: range) -> None:
    requests = revocations = faults = restores = 0
    for seed in seeds:
        try:
            world = run_schedule(seed)
        except Exception as error:
            raise AssertionError(f"SIMULATION_SEED={seed}: {error}") from error
        found = world.find_violations()
        assert not found, f"SIMULATION_SEED={seed}: " + "\n".join(found[:3])
        requests += len(world.history.requests)
        revocations += len(world.history.revocations)
        faults += world.faults
        restores += world.restores.count

    counts = f"{requests} requests, {revocations} revocations, {faults} faults, {restores} restores"
    print(f"\n{len(seeds)} schedules: {counts}")


def test_same_seed_gives_same_history() -> None:
    assert run_schedule(7).history == run_schedule(7).history
