"""The journal: every change is in a file beside the database before its request is answered."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry, records
from services.token_authority.domain.journal import JournalRecord, journal_record
from services.token_authority.tasks import journal as journal_task
from services.token_authority.tasks.journal_file import JournalFile, list_files, read_journals
from shared.contract.audit import NO_HASH
from shared.contract.token import SECRET_PATTERN
from tests.api.token_authority.test_every_change_is_audited import CHANGES, create_holders, send
from tests.support.backups import back_up
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.stack import Authority, run_token_authority


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "journal.jsonl"


@pytest.fixture
def authority_settings(journal: Path) -> dict[str, Any]:
    return {"journal_file": str(journal)}


@pytest.fixture
def lazy_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the journal be written for requests only, and not at an interval."""
    monkeypatch.setattr(journal_task, "READ_EVERY_S", 3600.0)


@pytest.fixture
async def other_authority(
    authority: Authority, database: ClonedDatabase, redis_url: str, tmp_path: Path
) -> AsyncGenerator[Authority, None]:
    """Run a second process of the authority, with a journal of its own."""
    settings = {"journal_file": str(tmp_path / "other" / "journal.jsonl")}
    async with run_token_authority(database, redis_url, tmp_path, **settings) as other:
        yield other


def read(*files: Path) -> list[JournalRecord]:
    return list(read_journals(files).records)


def read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def cut_off(file: Path) -> None:
    """Remove the last line, and leave only the beginning of the one before."""
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-2]) + lines[-2][:40])


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("lazy_journal")
async def test_journal_has_every_change_when_its_request_is_answered(
    authority: Authority, journal: Path, subtests: pytest.Subtests
) -> None:
    holders = await create_holders(authority)
    for change in CHANGES:
        with subtests.test(route=change.route):
            before = read(journal)[-1].seq

            answer = await send(authority, change, holders)

            added = [record.action for record in read(journal) if record.seq > before]
            assert answer.status in (200, 201, 204)
            assert added == change.actions


@pytest.mark.usefixtures("lazy_journal")
async def test_journal_has_each_of_many_concurrent_revocations_when_it_is_answered(
    authority: Authority, journal: Path
) -> None:
    """Those that arrive together share a transaction, which another request may have begun."""
    tokens = [(await authority.issue())["id"] for _ in range(20)]

    async def revoke(token_id: str) -> bool:
        await authority.revoke(token_id)
        return ("token.revoke", f"token:{token_id}") in {(record.action, record.subject) for record in read(journal)}

    assert await asyncio.gather(*map(revoke, tokens)) == [True] * 20


async def test_journal_has_the_records_of_the_audit_log_without_secrets(authority: Authority, journal: Path) -> None:
    token = await authority.issue()
    await authority.revoke(token["id"])

    journaled = read(journal)

    exported = (await authority.manage("GET", "/v1/audit?limit=1000")).json["items"]
    assert [record.hash for record in journaled] == [record["hash"] for record in exported]
    assert journaled[-1].change_seq == 1
    assert mode_of(journal) == 0o600
    assert not SECRET_PATTERN.search(read_text(journal))


@pytest.mark.usefixtures("lazy_journal")
async def test_journal_of_process_that_repeats_a_revocation_has_it(
    authority: Authority, other_authority: Authority, tmp_path: Path
) -> None:
    token = await authority.issue()
    await authority.revoke(token["id"])

    repeated = await other_authority.revoke(token["id"])

    other = read(tmp_path / "other" / "journal.jsonl")
    assert repeated["effective"]
    assert other[-1].action == "token.revoke"


async def test_journal_of_idle_process_gets_changes_of_others(
    authority: Authority, other_authority: Authority, tmp_path: Path
) -> None:
    token = await authority.issue()

    await authority.revoke(token["id"])

    await wait_until(lambda: read(tmp_path / "other" / "journal.jsonl")[-1].action == "token.revoke")


async def test_concurrent_changes_of_two_processes_share_one_journal(
    authority: Authority, database: ClonedDatabase, redis_url: str, journal: Path, tmp_path: Path
) -> None:
    settings = {"journal_file": str(journal)}
    async with run_token_authority(database, redis_url, tmp_path, **settings) as other:
        await asyncio.gather(*(each.issue() for each in (authority, other) for _ in range(20)))

        lines = read_text(journal).splitlines()
        journaled = read(journal)
    assert len(lines) == len(journaled)
    assert [record.seq for record in journaled] == list(range(1, len(journaled) + 1))


async def test_start_completes_a_journal_with_torn_line_and_missing_tail(
    database: ClonedDatabase, redis_url: str, journal: Path, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path, journal_file=str(journal)) as first:
        await first.issue()
        await first.issue()
    complete = read(journal)
    cut_off(journal)

    async with run_token_authority(database, redis_url, tmp_path, journal_file=str(journal)) as again:
        assert (await again("GET", "/readyz")).status == 200

        assert [record.head for record in read(journal)] == [record.head for record in complete]
        assert len(read_text(journal).splitlines()) == len(complete)


async def test_change_is_answered_and_in_effect_when_journal_cannot_be_written(
    authority: Authority, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await authority.issue()
    append = JournalFile.append
    monkeypatch.setattr(JournalFile, "append", _refuse)

    revoked = await authority.revoke(token["id"])
    ready = await authority("GET", "/readyz")
    metrics = (await authority("GET", "/metrics")).body.decode()

    assert revoked["effective"]
    assert ready.status == 200
    assert "cannot be written" in ready.json["checks"]["journal"]
    assert "pollgate_journal_outage 1.0" in metrics
    monkeypatch.setattr(JournalFile, "append", append)
    await wait_until(lambda: read(journal)[-1].action == "token.revoke")
    await asyncio.sleep(0.6)  # the result of a check is kept for half a second
    assert (await authority("GET", "/readyz")).json["checks"]["journal"] == "ok"


def _refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_change_is_answered_when_the_disk_of_the_journal_does_not_respond(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await authority.issue()
    released = threading.Event()
    append = JournalFile.append

    def hang(self: JournalFile, *arguments: Any) -> Any:
        released.wait(20)
        return append(self, *arguments)

    monkeypatch.setattr(JournalFile, "append", hang)
    try:
        async with asyncio.timeout(10):
            revoked = await authority.revoke(token["id"])
    finally:
        released.set()

    assert revoked["effective"]


@pytest.mark.own_database
async def test_start_on_a_restored_database_accepts_no_token_and_no_key(
    database: ClonedDatabase, redis_url: str, journal: Path, tmp_path: Path
) -> None:
    async with run_token_authority(database, redis_url, tmp_path, journal_file=str(journal)) as first:
        token = await first.issue()
    async with back_up(database) as backup:
        async with run_token_authority(database, redis_url, tmp_path, journal_file=str(journal)) as second:
            await second.manage("POST", "/v1/admin-keys", {"name": "lost", "role": "auditor"})
        await backup.restore()

        async with run_token_authority(database, redis_url, tmp_path, journal_file=str(journal)) as third:
            ready = await third("GET", "/readyz")
            statuses = [(await third.introspect(token["token"])).status, (await third.manage("GET", "/v1/keys")).status]

    assert statuses == [503, 503]
    assert ready.status == 503
    assert "the journal" in ready.json["checks"]["restoration"]


@pytest.mark.own_database
async def test_restore_under_a_running_process_that_only_the_journal_can_notice_is_noticed(
    authority: Authority, database: ClonedDatabase
) -> None:
    async with back_up(database) as backup:
        async with asyncio.timeout(10):  # its connections were ended by the backup
            while (await authority.manage("POST", "/v1/admin-keys", {"name": "lost", "role": "auditor"})).status != 201:
                await asyncio.sleep(0.05)
        await backup.restore()

        async with asyncio.timeout(10):
            while "restored" not in (await authority("GET", "/readyz")).json["checks"]["restoration"]:
                await asyncio.sleep(0.05)

    evidence = (await fetch(database.admin_url, "SELECT evidence FROM token_authority.restoration"))[0]["evidence"]
    assert '"source":"journal"' in evidence


async def test_file_of_other_user_or_writable_by_others_is_refused_at_start(
    database: ClonedDatabase, redis_url: str, journal: Path, tmp_path: Path
) -> None:
    journal.parent.mkdir(mode=0o777)
    journal.parent.chmod(0o777)

    with pytest.raises(Exception, match=r"JOURNAL_FILE: .*other users can write to the folder"):
        async with run_token_authority(database, redis_url, tmp_path, journal_file=str(journal)):
            pass


def test_full_file_is_renamed_and_the_next_begins_with_its_last_record(tmp_path: Path) -> None:
    chain = _chain(6)
    file = JournalFile(tmp_path / "journal.jsonl", timedelta(days=1), max_bytes=600)
    head = None
    for record in chain:
        head = file.append([record], head)

    files = list_files(tmp_path / "journal.jsonl")

    assert len(files) > 1
    assert head == chain[-1].head
    assert read(tmp_path / "journal.jsonl") == chain
    assert JournalFile(tmp_path / "journal.jsonl", timedelta(days=1)).read_head() == chain[-1].head


def test_renamed_files_are_deleted_after_their_time(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "journal.jsonl", timedelta(seconds=-1), max_bytes=600)
    head = None
    for record in _chain(6):
        head = file.append([record], head)

    assert list_files(tmp_path / "journal.jsonl") == [tmp_path / "journal.jsonl"]


def test_append_leaves_a_file_alone_that_ends_with_another_record(tmp_path: Path) -> None:
    chain, others = _chain(3), _chain(3, actor="other")
    JournalFile(tmp_path / "journal.jsonl", timedelta(days=1)).append(chain, None)
    file = JournalFile(tmp_path / "journal.jsonl", timedelta(days=1))

    head = file.append(others[2:], others[1].head)

    assert head == chain[-1].head
    assert read(tmp_path / "journal.jsonl") == chain


def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        JournalFile(tmp_path / "journal.jsonl", timedelta(days=1)).append(_chain(1), None)


def test_lines_that_are_no_records_are_counted_and_left_out(tmp_path: Path) -> None:
    chain = _chain(3)
    file = tmp_path / "journal.jsonl"
    JournalFile(file, timedelta(days=1)).append(chain, None)
    changed = file.read_bytes().replace(b'"holder"', b'"policy"', 1)
    file.write_bytes(changed + b"[" * 100_000 + b"\n\xff\n{}\n")

    journals = read_journals([file])

    assert [record.seq for record in journals.records] == [2, 3]
    assert journals.unreadable == 4


def _chain(length: int, actor: str = "an actor") -> list[JournalRecord]:
    entries = [AuditEntry(Actor("holder", actor), "token.revoke", f"token:tok_{n}") for n in range(length)]
    return [journal_record(each) for each in records(entries, (0, NO_HASH), datetime(2026, 1, 1, tzinfo=UTC))]
