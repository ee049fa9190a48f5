"""The audit log: how it is asked for, and a page of it."""

from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.payloads.texts import Time
from services.token_authority.storage.audit import AuditSelection
from shared.contract.audit import AuditRecord


class AuditConditions(Struct, frozen=True):
    """Conditions that records meet all of. Ranges have their beginning and not their end."""

    actor_id: Annotated[str, Meta(description="an admin key, a service or a token, by its id")] | None = None
    action: Annotated[str, Meta(description="what was done", examples=["token.revoke"])] | None = None
    subject: Annotated[str, Meta(description="to what, as KIND:ID", examples=["token:tok_3JDxtsz4ic3g56zQ"])] | None = (
        None
    )
    since: Time | None = None
    until: Time | None = None
    after: Annotated[int, Meta(ge=0, le=2**53, description="records behind this `seq` alone")] | None = None

    def to_selection(self) -> AuditSelection:
        """What storage makes of them."""
        return AuditSelection(self.actor_id, self.action, self.subject, self.since, self.until)


class ListAudit(AuditConditions, frozen=True):
    """The same, in which order, and how many. The next page has `after` as `next` of the page before says."""

    newest_first: Annotated[bool, Meta(description="from the newest record on; else from the oldest")] = False
    limit: Annotated[int, Meta(ge=1, le=1000, description="how many at most, 1 to 1000")] = 100


class AuditPage(Struct, frozen=True):
    """Records in order. `next` is the `after` of the page behind it, or null."""

    items: list[AuditRecord]
    next: int | None
