"""What audit records that a restored database lacks have ended or narrowed, which is done to it again.

Only that is: a record can end a token, a secret, an admin key or a service, or make it allow less than it does in the
restored database. So no record, not even a forged one, gives anyone more than the backup did.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.admin_key_change import AdminKeyChange
from services.token_authority.domain.admin_key_change import apply_change as apply_admin_key_change
from services.token_authority.domain.errors import InvalidValue, Widening
from services.token_authority.domain.journal import JournalRecord
from services.token_authority.domain.reason import Reason
from services.token_authority.domain.secret import MAX_OVERLAP_S, Rotation
from services.token_authority.domain.service import Service
from services.token_authority.domain.token import Token
from services.token_authority.domain.token_change import require_no_widening
from services.token_authority.domain.token_fields import validate_networks, validate_rate_limit, validate_scopes
from shared.contract.audit import AuditRecord

_CREATING: Final = frozenset({"token.issue", "admin_key.make", "service.make", "site.make"})
_WITHOUT_EFFECT: Final = frozenset({"token.keep", "review.complete", "session.start", "session.end", "restore.finish"})
"""Every session ends with a restoration anyway."""
_NEW_SECRET: Final = frozenset({"rotate", "replace_secret", "take_secret"})
_NARROWABLE: Final = ("scopes", "expires_at", "allow_query", "allowed_ips", "rate_limit", "self_rotation")


class RecordedRotation(Struct, frozen=True):
    """A rotation: the secrets that existed `at` that time, apart from the new one, end at `end`."""

    at: datetime
    end: datetime
    end_on_use: bool
    new_secret: str


class Losses(Struct):
    """What the records say of one token, admin key or service, or of the signing keys.

    `narrowed` has the last value of each changed field. `ended_secrets` are ids. `others` are the actions that are not
    done again, because they allow more, or only describe.
    """

    kind: str
    id: str
    is_created: bool = False
    end: AuditRecord | None = None
    disabling: AuditRecord | None = None
    narrowed: dict[str, Any] = {}
    rotations: list[RecordedRotation] = []
    ended_secrets: list[str] = []
    has_new_secret: bool = False
    others: list[str] = []

    @property
    def subject(self) -> str:
        """The kind and the id, as in audit records."""
        return f"{self.kind}:{self.id}"


def collect_losses(records: Iterable[JournalRecord]) -> list[Losses]:
    """Return what these records say of each subject, which the database lacks. They are in order."""
    found: dict[str, Losses] = {}
    for record in records:
        kind, _, holder_id = record.subject.partition(":")
        if record.action in _WITHOUT_EFFECT or not holder_id:
            continue
        losses = found.setdefault(record.subject, Losses(kind, holder_id))
        _collect(losses, record)
    return list(found.values())


def _collect(losses: Losses, record: JournalRecord) -> None:
    kind, _, what = record.action.partition(".")
    if kind != losses.kind:
        return
    if record.action in _CREATING:
        losses.is_created = True
        return
    losses.has_new_secret |= what in _NEW_SECRET
    collect = _COLLECTORS.get(what)
    if collect is None:
        losses.others.append(record.action)
    else:
        collect(losses, record)


def _collect_end(losses: Losses, record: JournalRecord) -> None:
    losses.end = losses.end or record


def _collect_disabling(losses: Losses, record: JournalRecord) -> None:
    losses.disabling = record


def _collect_enabling(losses: Losses, record: JournalRecord) -> None:
    """Forget a disabling that these records have; the database may know of an earlier one."""
    if losses.disabling is None:
        losses.others.append(record.action)
    losses.disabling = None


def _collect_change(losses: Losses, record: JournalRecord) -> None:
    losses.narrowed |= record.after
    if losses.kind == "token" and not record.after.keys() <= {*_NARROWABLE}:
        losses.others.append(record.action)


def _collect_rotation(losses: Losses, record: JournalRecord) -> None:
    overlap_s, end_on_use = record.after.get("overlap_s"), record.after.get("end_on_use") is True
    if not isinstance(overlap_s, int) or not 0 <= overlap_s <= MAX_OVERLAP_S:
        overlap_s = 0
    end = Rotation(overlap_s).old_secrets_end_at(record.at)
    losses.rotations.append(RecordedRotation(record.at, end, end_on_use, str(record.after.get("secret"))))
    if "expires_at" in record.after:  # it was renewed
        losses.others.append(record.action)


def _collect_ended_secrets(losses: Losses, record: JournalRecord) -> None:
    ended = record.after.get("ended")
    losses.ended_secrets += [each for each in ended if isinstance(each, str)] if isinstance(ended, list) else []


def _collect_reported_secrets(losses: Losses, record: JournalRecord) -> None:
    ended = record.after.get("secrets")
    losses.ended_secrets += [each for each in ended if isinstance(each, str)] if isinstance(ended, list) else []


def _collect_replaced_secret(losses: Losses, record: JournalRecord) -> None:
    replaced = record.after.get("secret")
    losses.ended_secrets += [replaced] if isinstance(replaced, str) else []


_COLLECTORS: Final[Mapping[str, Callable[[Losses, JournalRecord], None]]] = {
    "revoke": _collect_end,
    "purge": _collect_end,
    "disable": _collect_disabling,
    "enable": _collect_enabling,
    "change": _collect_change,
    "rotate": _collect_rotation,
    "withdraw": _collect_end,
    "end_old_secret": _collect_ended_secrets,
    "take_secret": _collect_ended_secrets,
    "end_reported_secrets": _collect_reported_secrets,
    "replace_secret": _collect_replaced_secret,
}


def recorded_actor(record: AuditRecord) -> str:
    """Return the actor of the record, as tokens, admin keys and services name it."""
    return f"{record.actor}:{record.actor_id}" if record.actor_id else record.actor


def recorded_reason(record: AuditRecord) -> Reason:
    """Return why a token was revoked; that it had been, if the record does not say so."""
    try:
        return msgspec.convert(
            {"kind": record.after.get("revoked_reason"), "text": record.after.get("revoked_text")}, Reason
        )
    except msgspec.ValidationError:
        return Reason("other", "revoked or removed before the database was restored")


def narrow_token(token: Token, recorded: Mapping[str, Any]) -> Token:
    """Return the token with those of the recorded values that allow less than it does, or as much."""
    for name in _NARROWABLE:
        if name in recorded:
            try:
                value = _READERS[name](recorded[name])
                require_no_widening(token, {name: value}, end_field=name)
            except (msgspec.ValidationError, InvalidValue, Widening):
                continue
            token = msgspec.structs.replace(token, **{name: value})
    return token


def _read_self_rotation(value: Any) -> bool:
    if value is not False:
        raise InvalidValue(("self_rotation",), "must be false")
    return False


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "scopes": lambda value: validate_scopes(msgspec.convert(value, list[str])),
    "expires_at": lambda value: msgspec.convert(value, Annotated[datetime, Meta(tz=True)]),
    "allow_query": lambda value: msgspec.convert(value, bool),
    "allowed_ips": lambda value: validate_networks(msgspec.convert(value, list[str])),
    "rate_limit": lambda value: validate_rate_limit(msgspec.convert(value, int)),
    "self_rotation": _read_self_rotation,
}


def narrow_admin_key(key: AdminKey, recorded: Mapping[str, Any]) -> AdminKey:
    """Return the admin key with the recorded role and limits, if they allow less than it does, or as much."""
    rights = {name: recorded[name] for name in ("role", "sites", "scopes") if name in recorded}
    try:
        return apply_admin_key_change(key, msgspec.convert(rights, AdminKeyChange))
    except (msgspec.ValidationError, InvalidValue, Widening):
        return key


def narrow_service(service: Service, recorded: Mapping[str, Any]) -> Service:
    """Return the service with those of its sites that it had at last, and without a public key that was replaced.

    A site that it got is not added, and the key that replaced another one is not set: a forged record would let its
    author be the service.
    """
    sites = recorded.get("sites")
    is_list = isinstance(sites, list) and bool(sites) and all(isinstance(each, str) for each in sites)
    if isinstance(sites, list) and is_list:
        kept = tuple(each for each in dict.fromkeys(sites) if service.sees(each))
        service = msgspec.structs.replace(service, sites=kept)
    if "public_key" in recorded and recorded["public_key"] != service.public_key:
        service = msgspec.structs.replace(service, public_key=None)
    return service


class Reapplied(Struct, frozen=True):
    """What was done again, and what an operator has to do.

    `applied` has the ids of what was ended or narrowed, by what was done. `lost` are subjects that were created after
    the backup and are gone. `lost_secrets` are subjects whose newest secret is gone, so that they need another one.
    `not_applied` has the subjects of actions that allow more, or only describe. `gaps` are the numbers of the records
    whose predecessor is missing, 0 for unreadable lines.
    """

    records: int
    base_seq: int
    head_seq: int
    head_hash: str
    change_seq: int
    gaps: list[int]
    unreadable_lines: int
    applied: dict[str, list[str]]
    lost: list[str]
    lost_secrets: list[str]
    not_applied: dict[str, list[str]]

    @property
    def counts(self) -> dict[str, int]:
        """How much was done, by what."""
        return {what: len(ids) for what, ids in self.applied.items()}
