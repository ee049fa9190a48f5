"""The audit log in requests and responses."""

from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.audit import AuditSelection
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
