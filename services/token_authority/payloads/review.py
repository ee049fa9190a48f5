"""The review of tokens in requests and responses."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.review import (
    DEFAULT_KEPT_DAYS,
    FINDING_KINDS,
    MAX_DAYS,
    MAX_KEPT_DAYS,
    Finding,
    FindingKind,
    KeptFinding,
    Review,
    ReviewCompletion,
)
from services.token_authority.domain.selection import new_selection
from services.token_authority.payloads.fields import Search
from services.token_authority.payloads.tokens import LimitsPayload, TokenPayload


class ReviewTokens(Struct, frozen=True):
    """The parameters of a review, and the page."""

    unused_days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="days without use after which a token or its owner is a finding")
    ] = 90
    expiring_days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="days before its expiry from which a token is a finding")
    ] = 7
    kind: Annotated[list[FindingKind], Meta(description="only findings of these kinds")] | None = None
    search: Search | None = None
    include_kept: Annotated[bool, Meta(description="also findings that are kept")] = False
    limit: Annotated[int, Meta(ge=1, le=200, description="maximum number of findings, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="the `next` of the previous page")] | None = None

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """The kinds of findings to return."""
        return FINDING_KINDS if self.kind is None else tuple(kind for kind in FINDING_KINDS if kind in self.kind)

    def to_review(self, now: datetime) -> Review:
        """Return the review at `now`. Raise `InvalidValue`."""
        return Review(now, self.unused_days, self.expiring_days, new_selection(search=self.search), self.include_kept)


class KeepFinding(Struct, frozen=True, forbid_unknown_fields=True):
    """The kind of finding that is kept, and for how long."""

    kind: Annotated[FindingKind, Meta(examples=["never_expires"])]
    days: Annotated[int, Meta(description=f"days from now, 1 to {MAX_KEPT_DAYS}, for which reviews leave it out")] = (
        DEFAULT_KEPT_DAYS
    )


class KeptFindingPayload(Struct, frozen=True):
    """A finding that reviews leave out until `kept_until`. `kept_by` is an administrator, such as `admin_key:adm_…`."""

    token_id: str
    kind: FindingKind
    kept_until: datetime
    kept_by: str

    @classmethod
    def of(cls, kept: KeptFinding) -> "KeptFindingPayload":
        """Return the payload of a kept finding."""
        return cls(kept.token_id, kept.kind, kept.kept_until, kept.kept_by)


class FindingPayload(Struct, frozen=True):
    """An active token that needs attention. `reason` says why and `remedy` what to do, in one sentence each.

    `kept_until` and `kept_by` are null unless an administrator keeps the finding.
    """

    kind: FindingKind
    token: TokenPayload
    reason: str
    remedy: str
    kept_until: datetime | None
    kept_by: str | None

    @classmethod
    def of(cls, finding: Finding, now: datetime) -> "FindingPayload":
        """Return the payload of a finding at `now`."""
        kept_until, kept_by = (finding.kept.kept_until, finding.kept.kept_by) if finding.kept else (None, None)
        token = TokenPayload.of(finding.token, finding.use, now)
        return cls(finding.kind, token, *finding.advice, kept_until, kept_by)


class ReviewCompletionPayload(Struct, frozen=True):
    """When a review of the tokens was completed, and by which administrator, such as `admin_key:adm_…`."""

    at: datetime
    by: str

    @classmethod
    def of(cls, completion: ReviewCompletion) -> "ReviewCompletionPayload":
        """Return the payload of a completion."""
        return cls(*completion)


class ReviewPage(Struct, frozen=True):
    """Findings by kind, then by token. `next` is the `cursor` of the next page, or null. `limits` is null for an admin
    key that sees every token, `last_completed` until an administrator has completed a review.
    """

    items: list[FindingPayload]
    next: str | None
    limits: LimitsPayload | None
    last_completed: ReviewCompletionPayload | None
