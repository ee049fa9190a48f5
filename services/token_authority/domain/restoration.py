"""A restored database: how it was noticed, what guards know that it lacks, and how an operator has finished it."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from msgspec import Struct

from services.token_authority.domain.actor import Actor

Source = Literal["guard", "process", "journal", "operator"]
"""Who knows of changes that the database lacks."""

Choice = Literal["journal", "revoke-working-tokens", "accept-risk"]
"""What makes up for the changes that the database lacks: the journal, which has all of them; the end of every token
that works; or the name of someone who accepts that revoked tokens may work again.
"""


class Evidence(Struct, frozen=True, omit_defaults=True):
    """Why the database must have been restored. It has no secrets, because it is stored, logged and shown.

    `expected_seq` is the highest number of a change that is known to have existed, `found_seq` the head of the log.
    `audit_seq` and `audit_hash` are an audit record that is known to have existed.
    """

    source: Source
    detail: str
    expected_seq: int = 0
    found_seq: int = 0
    client_id: str | None = None
    guard_id: str | None = None
    audit_seq: int = 0
    audit_hash: str = ""


class Restoration(Struct, frozen=True):
    """An open or a finished restoration. `finished_by` is who finished it, and `how` is in words."""

    id: UUID
    began_at: datetime
    evidence: Evidence
    expected_seq: int
    finished_at: datetime | None = None
    finished_by: str | None = None
    how: str | None = None


class ReportedChange(NamedTuple):
    """A change that a guard has proven to have applied, and that the log lacks. `reported_by` has client ids."""

    seq: int
    change_id: UUID
    digest: bytes
    reported_by: tuple[str, ...] = ()


class Decision(NamedTuple):
    """How an operator finishes a restoration, and who: `how` is in words, for the audit log."""

    choice: Choice
    by: Actor
    how: str


class Explained(Struct, frozen=True):
    """What was re-applied from the journal, in the same transaction, before a restoration is finished.

    `digests` are the secrets whose lost changes it explains, so that they need not be ended. `highest_seq` is the
    highest number of a change in it. `summary` has what the audit record says of it: counts, and where it ends.
    """

    digests: frozenset[bytes] = frozenset()
    highest_seq: int = 0
    summary: dict[str, object] = {}


class Finished(Struct, frozen=True):
    """What finishing a restoration has done. `epoch_seq` is the first number of the new epoch.

    `ended_secrets` are the ids of secrets that were ended because guards had reported a change of them, by token id.
    `revoked_tokens` counts the tokens that the choice `revoke-working-tokens` has revoked.
    """

    epoch_seq: int
    ended_secrets: dict[str, list[str]]
    reported_changes: int
    revoked_tokens: int
