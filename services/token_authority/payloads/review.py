"""The review of tokens in requests and responses."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.review import FINDING_KINDS, MAX_DAYS, Finding, FindingKind, Review
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
    limit: Annotated[int, Meta(ge=1, le=200, description="maximum number of findings, 1 to 200")] = 100
    cursor: Annotated[str, Meta(description="the `next` of the previous page")] | None = None

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """The kinds of findings to return."""
        return FINDING_KINDS if self.kind is None else tuple(kind for kind in FINDING_KINDS if kind in self.kind)

    def to_review(self, now: datetime) -> Review:
        """Return the review at `now`. Raise `InvalidValue`."""
        return Review(now, self.unused_days, self.expiring_days, new_selection(search=self.search))


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
    """Findings by kind, then by token. `next` is the `cursor` of the next page, or null. `limits` is null for an admin
    key that sees every token.
    """

    items: list[FindingPayload]
    next: str | None
    limits: LimitsPayload | None
