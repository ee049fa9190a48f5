"""What audit records of a journal say that has ended or narrowed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry, records
from services.token_authority.domain.audit_chain import EMPTY, Head
from services.token_authority.domain.journal import JournalRecord, journal_record, merge
from services.token_authority.domain.reapplication import collect_losses, narrow_service
from services.token_authority.domain.service import Service
from shared.contract.audit import AuditRecord

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TOKEN = "token:tok_1"


def chain(*actions: tuple[str, datetime]) -> list[JournalRecord]:
    """Return a record of the token for each action, one after the other."""
    found: list[AuditRecord] = []
    for action, at in actions:
        after = Head(found[-1].seq, found[-1].hash) if found else EMPTY
        found += records([AuditEntry(Actor("admin_key", "adm_1"), action, TOKEN)], after, at)
    return [journal_record(each) for each in found]


def test_token_that_was_disabled_last_is_disabled_although_the_clock_was_set_back() -> None:
    made = chain(("token.enable", NOW), ("token.disable", NOW - timedelta(minutes=5)))

    (losses,) = collect_losses(merge(made).records)

    assert losses.disabling is not None
    assert losses.disabling.seq == 2


def test_records_of_a_log_that_was_restored_come_after_those_that_it_lost() -> None:
    lost = chain(("token.issue", NOW), ("token.disable", NOW), ("token.change", NOW + timedelta(minutes=1)))
    again = [lost[0], *_continue(lost[0], "token.enable", NOW + timedelta(minutes=2))]

    found = merge([*again, *lost])

    assert [record.action for record in found.records] == [
        "token.issue",
        "token.disable",
        "token.change",
        "token.enable",
    ]
    assert found.head == again[-1].head


def _continue(record: JournalRecord, action: str, at: datetime) -> Sequence[JournalRecord]:
    entry = AuditEntry(Actor("admin_key", "adm_1"), action, TOKEN)
    return [journal_record(each) for each in records([entry], record.head, at)]


def service(sites: tuple[str, ...] | None) -> Service:
    return Service(client_id="polls", sites=sites, created_at=NOW, created_by="adm_1")


def test_service_keeps_only_sites_that_it_had_in_the_backup_and_at_last() -> None:
    for before, recorded, expected in (
        (("a", "b"), ["a", "c"], ("a",)),
        (("a", "b"), ["b", "a", "c"], ("b", "a")),
        (("a",), ["c"], ()),
        (None, ["c"], ("c",)),
        (("a",), None, ("a",)),
    ):
        assert narrow_service(service(before), {"sites": recorded}).sites == expected


def test_service_whose_recorded_sites_cannot_be_read_is_not_changed() -> None:
    known = service(("a",))
    for recorded in (7, [], ["a", 7], {"a": 1}):
        assert narrow_service(known, msgspec.to_builtins({"sites": recorded})) == known
