"""A review of tokens: as it is asked for, and its findings."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.review import FINDING_KINDS, MAX_DAYS, FindingKind, Review
from services.token_authority.operations.review import Finding
from services.token_authority.payloads.tokens import TokenPayload


class ReviewTokens(Struct, frozen=True):
    """What is worth a look, and which page of it."""

    unused_days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="after how many days without use a token, or an owner, is told of")
    ] = 90
    expiring_days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="how many days before its end a token is told of")
    ] = 7
    kind: Annotated[FindingKind, Meta(description="findings of this kind alone")] | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="how many at most, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="`next` of the page before")] | None = None

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """Those asked for."""
        return FINDING_KINDS if self.kind is None else (self.kind,)

    def to_review(self, now: datetime) -> Review:
        """What the domain makes of it."""
        return Review(now, self.unused_days, self.expiring_days)


class FindingPayload(Struct, frozen=True):
    """An active token worth a look. `reason` says why, and `remedy` what to do, in a sentence each."""

    kind: FindingKind
    token: TokenPayload
    reason: str
    remedy: str

    @classmethod
    def of(cls, finding: Finding, now: datetime) -> "FindingPayload":
        """How `finding` is shown at `now`."""
        return cls(finding.kind, TokenPayload.of(finding.token, finding.use, now), *finding.advice)


class ReviewPage(Struct, frozen=True):
    """Findings by kind, then by token. `next` is the `cursor` of the page behind it, or null."""

    items: list[FindingPayload]
    next: str | None
