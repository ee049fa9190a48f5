"""The review of tokens in requests and responses."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.review import FINDING_KINDS, MAX_DAYS, Finding, FindingKind, Review
from services.token_authority.payloads.tokens import TokenPayload


class ReviewTokens(Struct, frozen=True):
    """The parameters of a review, and the page."""

    unused_days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="days without use after which a token or its owner is a finding")
    ] = 90
    expiring_days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="days before its expiry from which a token is a finding")
    ] = 7
    kind: Annotated[FindingKind, Meta(description="only findings of this kind")] | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="maximum number of findings, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="the `next` of the previous page")] | None = None

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """The kinds of findings to return."""
        return FINDING_KINDS if self.kind is None else (self.kind,)

    def to_review(self, now: datetime) -> Review:
        """Return the review at `now`."""
        return Review(now, self.unused_days, self.expiring_days)


class FindingPayload(Struct, frozen=True):
    """An active token that needs attention. `reason` says why and `remedy` what to do, in one sentence each."""

    kind: FindingKind
    token: TokenPayload
    reason: str
    remedy: str

    @classmethod
    def of(cls, finding: Finding, now: datetime) -> "FindingPayload":
        """Return the payload of a finding at `now`."""
        return cls(finding.kind, TokenPayload.of(finding.token, finding.use, now), *finding.advice)


class ReviewPage(Struct, frozen=True):
    """Findings by kind, then by token. `next` is the `cursor` of the next page, or null."""

    items: list[FindingPayload]
    next: str | None
