"""Takes out, one at a time, each piece that exact revocation rests on, and shows that a test notices.

Each mutant is a copy of the checkout with one text replaced. The simulation has to fail on it, or where that does not
see the piece the fault tests; the copy without a mutation has to pass both. Ends with status 1 otherwise.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SIMULATION = "tests/simulation"
FAULTS = "tests/faults"


class Mutant(NamedTuple):
    """`old`, which stands once in `file`, becomes `new`; `seen_by` is the folder of tests that has to fail."""

    name: str
    file: str
    old: str
    new: str
    seen_by: str = SIMULATION


MUTANTS = (
    Mutant(
        "no tombstones",
        "shared/guard/tombstones.py",
        "return as_of >= self._floor and self._changed_at.get(digest, 0) <= as_of",
        "return True",
    ),
    Mutant(
        "no advisory lock",
        "services/token_authority/storage/changes.py",
        "await executor.execute(_LOCK_SHARED, _LOG_LOCK)",
        "return",
    ),
    Mutant("no lease check", "shared/guard/lease.py", "return self._clock() < self.until", "return True"),
    Mutant(
        "no re-check of joined requests",
        "shared/guard/guard.py",
        "if self._may_use(key, answer, asked_since=asked_since, no_cache=no_cache):",
        "if True:",
    ),
    Mutant(
        "no scope check on hits",
        "shared/guard/caller.py",
        "if not self._grant.covers(action, place):",
        "if False:",
        FAULTS,
    ),
    Mutant(
        "a lease that counts from the answer",
        "shared/guard/follower.py",
        "self._lease.renew(asked_at, self.lease_s)",
        "self._lease.renew(self._clock(), self.lease_s)",
    ),
    Mutant(
        "pushes applied across gaps",
        "shared/guard/follower.py",
        "if self._applied is not None and change.seq == self._applied + 1:",
        "if self._applied is not None and change.seq > self._applied:",
    ),
    Mutant(
        "a sync that confirms what it has only sent",
        "services/token_authority/operations/sync.py",
        "{guard: seq or 0 for guard, seq in applied.items()}",
        "dict.fromkeys(applied, span.head)",
    ),
    Mutant(
        "an answer that does not wait",
        "services/token_authority/domain/lease.py",
        "return not self._pending",
        "return True",
    ),
)


def main() -> None:
    for folder in (SIMULATION, FAULTS):
        if not report("the code as it is", folder, run(None, folder), expected=0):
            sys.exit("The tests have to pass before they can show anything.")
    survivors = [
        mutant.name
        for mutant in MUTANTS
        if not report(mutant.name, mutant.seen_by, run(mutant, mutant.seen_by), expected=1)
    ]
    if survivors:
        sys.exit(f"Not noticed: {', '.join(survivors)}")
    print(f"All {len(MUTANTS)} mutants were noticed.")


def run(mutant: Mutant | None, tests: str) -> tuple[int, float]:
    """The status of pytest on a copy of the checkout, and how many seconds that took."""
    with tempfile.TemporaryDirectory(prefix="pollgate-mutant-") as name:
        copy = Path(name)
        copy_checkout(copy)
        if mutant is not None:
            mutate(copy / mutant.file, mutant)
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", tests]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        ended = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False)
        return ended.returncode, time.monotonic() - started


def copy_checkout(target: Path) -> None:
    """Every file that is in the repository, or is about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607
        capture_output=True,
        check=True,
    )
    for file in filter(None, listed.stdout.decode().split("\0")):
        if Path(file).exists():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (target / file).write_bytes(Path(file).read_bytes())


def mutate(file: Path, mutant: Mutant) -> None:
    text = file.read_text()
    if text.count(mutant.old) != 1:
        sys.exit(f"{mutant.name}: '{mutant.old}' stands {text.count(mutant.old)} times in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))


def report(name: str, tests: str, result: tuple[int, float], *, expected: int) -> bool:
    status, took_s = result
    verdict = {0: "passes", 1: "fails"}.get(status, f"pytest ended with status {status}")
    print(f"  {name:<45} {tests:<18} {verdict} ({took_s:.0f} s)", flush=True)
    return status == expected


if __name__ == "__main__":
    main()
