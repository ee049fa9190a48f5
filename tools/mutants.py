"""Remove, one at a time, each mechanism that exact revocation depends on, and check that a test fails.

Each mutant is a copy of the checkout with one text replaced. The simulation must find that the promise is broken. For
mechanisms that it does not cover, the tests of faults or one of `TESTS` must fail. The unchanged copy must
pass all of them. End with status 1 otherwise. A mutant whose tests fail for another reason, such as an error in the
test, counts as not noticed.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SIMULATION = "tests/simulation"
FAULTS = "tests/faults/test_promise_under_faults.py"
STREAMS = "tests/api/test_streams.py"
WATCH = "tests/unit/test_token_watch.py"
GUARD = "tests/unit/test_guard.py"
RESTORED = "tests/api/token_authority/test_restored_database.py"
FINISH = "tests/api/token_authority/test_restoration_finish.py"
JOURNAL = "tests/api/token_authority/test_journal.py"
REAPPLICATION = "tests/api/token_authority/test_reapplication.py"
TESTS = (STREAMS, WATCH, GUARD, RESTORED, FINISH, JOURNAL, REAPPLICATION)
"""What finds mutants that neither the simulation nor the faults cover."""


class Mutant(NamedTuple):
    """Replace `old`, which occurs once in `file`, by `new`; the tests in `seen_by` must fail."""

    name: str
    file: str
    old: str
    new: str
    seen_by: str = SIMULATION


MUTANTS = (
    Mutant(
        "responses do not wait for the journal",
        "services/token_authority/tasks/journal.py",
        "if number is None or number <= self._ended or self._outage.is_ongoing:",
        "if True:",
        seen_by=JOURNAL,
    ),
    Mutant(
        "a change requires no reading of the log",
        "services/token_authority/storage/audit.py",
        "reading.note_end_of_transaction()",
        "pass",
        seen_by=JOURNAL,
    ),
    Mutant(
        "a journal that is ahead proves nothing",
        "services/token_authority/tasks/journal.py",
        "await restoration.begin_restoration(transaction, evidence)",
        "pass",
        seen_by=JOURNAL,
    ),
    Mutant(
        "gaps in journals are overlooked",
        "services/token_authority/operations/reapplication.py",
        "sorted(head.seq + 1 for head in unknown if head not in found)",
        "[]",
        seen_by=REAPPLICATION,
    ),
    Mutant(
        "changes after a restore explain those that it lost",
        "services/token_authority/operations/restore.py",
        "if highest > lacking.change_seq:",
        "if highest > journals.change_seq:",
        seen_by=REAPPLICATION,
    ),
    Mutant(
        "no tombstones",
        "shared/guard/tombstones.py",
        "return as_of >= self._floor and self._changed_at.get(digest, 0) <= as_of",
        "return True",
    ),
    Mutant(
        "no advisory lock",
        "services/token_authority/storage/changes.py",
        "await connection.execute(_LOCK_SHARED, _LOG_LOCK)",
        "return",
    ),
    Mutant("no lease check", "shared/guard/lease.py", "return now < self.until", "return True"),
    Mutant(
        "no check of answers that joined requests share",
        "shared/guard/guard.py",
        "if self._is_usable(key, answer, sent_after_request=introspection.number > sequence_before):",
        "if True:",
    ),
    Mutant(
        "no scope check on hits",
        "shared/guard/caller.py",
        "if not self.may(action, place):",
        "if False:",
        FAULTS,
    ),
    Mutant(
        "a lease that starts with the answer",
        "shared/guard/follower.py",
        "self._lease.renew(asked_at, self.lease_s)",
        "self._lease.renew(self._clock(), self.lease_s)",
    ),
    Mutant(
        "pushes applied across gaps",
        "shared/guard/follower.py",
        "if self._applied is None or change.seq != self._applied + 1:",
        "if self._applied is None or change.seq <= self._applied:",
    ),
    Mutant(
        "a sync that confirms changes when it sends them",
        "services/token_authority/tasks/sync.py",
        "{waiting.guard: seq or 0 for waiting, seq in zip(batch, places, strict=True)}",
        "{waiting.guard: log_range.head for waiting in batch}",
    ),
    Mutant(
        "a revocation that does not wait for guards",
        "services/token_authority/domain/lease.py",
        "return not self._pending",
        "return True",
    ),
    Mutant(
        "a repeated revocation that does not wait for guards",
        "services/token_authority/operations/revocation.py",
        "PendingChange(latest.seq, leases, self._clock())",
        "PendingChange(latest.seq, [], self._clock())",
    ),
    Mutant(
        "a guard that uses a lease after its release",
        "shared/guard/follower.py",
        "self._lease.release()",
        "pass",
    ),
    Mutant(
        "a stream whose listener does not run at a change",
        "shared/guard/guard.py",
        "self._listeners.notify(key)",
        "pass",
        STREAMS,
    ),
    Mutant(
        "a stream that continues without a lease",
        "shared/guard/token_watch.py",
        "self._checked is not None and self._lease.is_held and",
        "self._checked is not None and",
        WATCH,
    ),
    Mutant(
        "a stream whose write buffer is sent after a change",
        "shared/guard/stream.py",
        "if transport is not None and transport.get_write_buffer_size():",
        "if False:",
        STREAMS,
    ),
    Mutant(
        "a restore that receipts do not prove",
        "services/token_authority/domain/change_log.py",
        "return applied.seq > log_range.head or (applied.seq > log_range.floor and ids.get(applied.seq) != applied.id)",
        "return False",
    ),
    Mutant(
        "a process that forgets the newest change that it has seen",
        "services/token_authority/tasks/restoration.py",
        "if found >= expected:",
        "if True:",
        RESTORED,
    ),
    Mutant(
        "an early confirmation by a number alone",
        "services/token_authority/tasks/confirmations.py",
        "if any(change.change_id == applied.id and change.seq == applied.seq for change in self._pending):",
        "if any(change.seq == applied.seq for change in self._pending):",
        RESTORED,
    ),
    Mutant(
        "tokens that are looked up during a restoration",
        "services/token_authority/storage/restoration.py",
        'if row["is_restored"]:',
        "if False:",
    ),
    Mutant(
        "a log that starts again in the same epoch",
        "shared/contract/change.py",
        "return (epoch_of(seq) + 1) * EPOCH_SIZE",
        "return seq + 1",
    ),
    Mutant(
        "a restoration that is finished while guards may hold leases",
        "services/token_authority/operations/restore.py",
        "await sleep(revocation_bound_s(max(lease_s, longest_s)))",
        "await sleep(0)",
    ),
    Mutant(
        "reports of lost changes that end nothing",
        "services/token_authority/operations/restore.py",
        "ended = await restoration.end_reported_secrets(transaction, sorted(unexplained))",
        "ended: dict[str, list[str]] = {}",
        FINISH,
    ),
    Mutant(
        "a guard that uses answers older than what it has applied",
        "shared/guard/guard.py",
        "if answer.grant is not None and answer.grant.as_of < applied:",
        "if False:",
        GUARD,
    ),
    Mutant(
        "a guard that trusts an answer for a changed token without a later sync",
        "shared/guard/guard.py",
        "if answer.grant is not None and self._tombstones.latest_change(key):",
        "if False:",
        GUARD,
    ),
    Mutant(
        "syncs compare only the newest change of a guard",
        "services/token_authority/tasks/sync.py",
        "proven = [change for change in (*verified, last) if change is not None]",
        "proven = [last] if last is not None and verified is not None else []",
        RESTORED,
    ),
)


FINDING = re.compile(
    r"AssertionError: (?:SIMULATION|FAULTS)_SEED=\d+:\s*(?:E\s+)?(?P<violation>.+)"
    rf"|FAILED (?:{'|'.join(map(re.escape, TESTS))})::(?P<test>\w+)"
)


def main() -> None:
    for folder in (SIMULATION, FAULTS, *TESTS):
        if not report("the code as it is", folder, run(None, folder), expected="passes"):
            sys.exit("The tests must pass without a mutation.")
    survivors = [
        mutant.name
        for mutant in MUTANTS
        if not report(mutant.name, mutant.seen_by, run(mutant, mutant.seen_by), expected="is noticed")
    ]
    if survivors:
        sys.exit(f"Not noticed: {', '.join(survivors)}")
    print(f"All {len(MUTANTS)} mutants were noticed.")


class Verdict(NamedTuple):
    """The result of one run: `passes`, `is noticed`, or the status of pytest; and what the tests have found."""

    word: str
    finding: str
    took_s: float


def run(mutant: Mutant | None, tests: str) -> Verdict:
    """Run the tests on a copy of the checkout, with or without a mutation."""
    with tempfile.TemporaryDirectory(prefix="pollgate-mutant-") as name:
        copy = Path(name)
        copy_checkout(copy)
        if mutant is not None:
            mutate(copy / mutant.file, mutant)
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", tests]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        ended = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        took_s = time.monotonic() - started
    finding = FINDING.search(ended.stdout)
    if finding:
        return Verdict("is noticed", finding["violation"] or finding["test"], took_s)
    return Verdict("passes" if ended.returncode == 0 else f"ends with status {ended.returncode}", "", took_s)


def copy_checkout(target: Path) -> None:
    """Copy every file that git tracks or would add."""
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
        sys.exit(f"{mutant.name}: '{mutant.old}' occurs {text.count(mutant.old)} times in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))


def report(name: str, tests: str, verdict: Verdict, *, expected: str) -> bool:
    print(f"{name}: {verdict.word}, {tests}, {verdict.took_s:.0f} s", flush=True)
    if verdict.finding:
        print(f"    {verdict.finding}", flush=True)
    return verdict.word == expected


if __name__ == "__main__":
    main()
