"""Entries of the audit log: who changed what, and the changed fields before and after."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.service import Service
from services.token_authority.domain.site import Site
from services.token_authority.domain.token import Token
from shared.contract.audit import AuditRecord

_IN_RECORD: Final = ("id", "client_id", "created_at", "created_by")
"""Fields that the record itself states in its subject, time and actor."""


class AuditEntry(Struct, frozen=True):
    """One change to one subject. `before` and `after` hold the changed fields, never a secret."""

    actor: Actor
    action: str
    subject: str
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}


class AuditSelection(NamedTuple):
    """Conditions on records; `None` sets no condition. `since` is inclusive, `until` exclusive."""

    actor_id: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def audit_fields(subject: Token | AdminKey | Service | Site, fields: Collection[str] | None = None) -> dict[str, Any]:
    """Return the named fields of `subject` as JSON values; without names, all fields that are not empty."""
    values = {
        name: value
        for name, value in msgspec.structs.asdict(subject).items()
        if (name in fields if fields is not None else name not in _IN_RECORD and value not in (None, (), "", {}))
    }
    if values.get("scopes") is not None:
        values["scopes"] = [str(scope) for scope in values["scopes"]]
    return msgspec.to_builtins(values)  # type: ignore[no-any-return]


def records(entries: Iterable[AuditEntry], after: tuple[int, str], at: datetime) -> Iterator[AuditRecord]:
    """Yield the entries as records that follow the record with this `seq` and hash."""
    seq, previous = after
    for entry in entries:
        seq += 1
        record = AuditRecord(
            seq=seq,
            at=at,
            actor=entry.actor.kind,
            actor_id=entry.actor.id,
            address=entry.actor.address,
            request_id=entry.actor.request_id,
            action=entry.action,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
            previous=previous,
        ).with_hash()
        previous = record.hash
        yield record
