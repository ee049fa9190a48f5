"""The audit log in requests and responses."""

from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.audit import AuditSelection
from services.token_authority.domain.audit_chain import ChainReport, Head, read_head
from services.token_authority.payloads.fields import EndTime, StartTime
from shared.contract.audit import AuditRecord
from shared.runtime.http.query import query_time


class AuditConditions(Struct, frozen=True):
    """Conditions, all of which a record has to meet. `since` is inclusive, `until` exclusive; a day includes itself."""

    actor_id: (
        Annotated[str, Meta(description="the id of an admin key, a service or a token, or the `sub` of a person")]
        | None
    ) = None
    action: Annotated[str, Meta(description="the action", examples=["token.revoke"])] | None = None
    subject: (
        Annotated[
            str, Meta(description="the subject of the action, as KIND:ID", examples=["token:tok_3JDxtsz4ic3g56zQ"])
        ]
        | None
    ) = None
    since: StartTime | None = None
    until: EndTime | None = None
    after: Annotated[int, Meta(ge=0, le=2**53, description="only records after this `seq`")] | None = None

    def to_selection(self) -> AuditSelection:
        """Return the conditions. Raise `BadRequest`."""
        since = query_time("since", self.since, day="first")
        until = query_time("until", self.until, day="last")
        return AuditSelection(self.actor_id, self.action, self.subject, since, until)


class ListAudit(AuditConditions, frozen=True):
    """Conditions, order and page size. For the next page, set `after` to the `next` of this one."""

    newest_first: Annotated[bool, Meta(description="newest records first; by default oldest first")] = False
    limit: Annotated[int, Meta(ge=1, le=1000, description="maximum number of records, 1 to 1000")] = 100


class AuditPage(Struct, frozen=True):
    """Records in order. `next` is the `after` of the next page, or null."""

    items: list[AuditRecord]
    next: int | None


HeadSeq = Annotated[int, Meta(ge=0, le=2**53, description="the `seq` of the last record at that time")]
HeadHash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="the `hash` of that record, in hex")]


class VerifyAudit(Struct, frozen=True, forbid_unknown_fields=True):
    """A head of the log that was noted earlier, to check whether the log still has it."""

    seq: HeadSeq | None = None
    hash: HeadHash | None = None

    def to_head(self) -> Head | None:
        """Return the head, if one is given. Raise `InvalidValue`."""
        return read_head(self.seq, self.hash)


class HeadPayload(Struct, frozen=True):
    """The last record that was verified. An empty log has the `seq` 0 and a hash of zeros."""

    seq: int
    hash: str


class ChainReportPayload(Struct, frozen=True):
    """How many `records` follow one another unchanged, and the last of them. `broken` says what breaks the chain there.

    `has_earlier_head`: whether the record with the `seq` of the request still has its hash; null without one. The log
    is `intact` if nothing breaks the chain, and it has the earlier head, if one is given.
    """

    records: int
    head: HeadPayload
    intact: bool
    broken: str | None
    has_earlier_head: bool | None

    @classmethod
    def of(cls, report: ChainReport) -> "ChainReportPayload":
        """Return the payload of a report."""
        head = HeadPayload(*report.head)
        return cls(report.records, head, report.is_intact, report.broken, report.has_earlier_head)
