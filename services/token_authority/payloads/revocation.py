"""Revocations: as they are asked for, and how far they are in force."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.reason import Reason, ReasonKind, reason
from services.token_authority.domain.selection import Selection, StatusFilter, selection
from services.token_authority.operations.confirmations import Effect
from services.token_authority.operations.revoke import BulkRevocation
from services.token_authority.payloads.texts import Time

ReasonText = Annotated[str, Meta(description="what else there is to say, up to 500 characters; required with `other`")]
MAX_LEAKED = 1000


class Waiting(Struct, frozen=True):
    """Whether to wait."""

    wait: Annotated[bool, Meta(description="answer when it is in force everywhere; with `false` at once")] = True


class RevokeToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a token is ended."""

    reason: ReasonKind
    text: ReasonText | None = None

    def to_reason(self) -> Reason:
        """What the domain makes of it."""
        return reason(self.reason, self.text)


class RevokeTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Why tokens are ended, and conditions that they meet all of, or `all` alone.

    `scope` takes tokens that can do something it speaks of: `polls:read:PLAT` takes one for `polls:*:PLAT/PLAT-1`.
    With `dry_run` nothing is ended, and `revoked` says how many would be.
    """

    reason: ReasonKind
    text: ReasonText | None = None
    ids: list[str] | None = None
    owner: str | None = None
    site: str | None = None
    scope: str | None = None
    status: StatusFilter | None = None
    issued_before: Time | None = None
    unused_since: Time | None = None
    all: bool = False
    dry_run: bool = False

    def to_reason(self) -> Reason:
        """What the domain makes of the reason."""
        return reason(self.reason, self.text)

    def to_selection(self) -> Selection:
        """What the domain makes of the conditions."""
        names = ("ids", "owner", "site", "scope", "status", "unused_since")
        conditions: dict[str, Any] = {name: getattr(self, name) for name in names}
        conditions["created_before"] = self.issued_before
        if self.all == any(condition is not None for condition in conditions.values()):
            raise InvalidValue((), "give conditions, or 'all': true alone to revoke every token")
        return selection(**conditions)


class LeakedTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens that were found where they should not be; whoever holds one may end it."""

    tokens: Annotated[list[str], Meta(min_length=1, max_length=MAX_LEAKED)]


class LeakedPayload(Struct, frozen=True):
    """How many of the tokens were ended now, had been ended, and are not known here."""

    revoked: int
    already_revoked: int
    unknown: int


class GuardsPayload(Struct, frozen=True):
    """How many guards have confirmed a change, and how many have run out of their lease instead."""

    confirmed: int
    expired: int


class EffectPayload(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far a change is in force. `effective`: every guard knows; else that is so from `effective_by` on."""

    seq: int
    effective: bool
    waited_ms: float | None = None
    guards: GuardsPayload | None = None
    effective_by: datetime | None = None

    @classmethod
    def of(cls, seq: int, effect: Effect | None, effective_by: datetime) -> "EffectPayload":
        """How a change is shown; without `effect` where nobody has waited."""
        effective = effect is not None and effect.effective
        return cls(
            seq=seq,
            effective=effective,
            waited_ms=effect.waited_ms if effect else None,
            guards=GuardsPayload(effect.confirmed, effect.expired) if effect else None,
            effective_by=None if effective else effective_by,
        )


class RevocationPayload(EffectPayload, frozen=True, omit_defaults=True, kw_only=True):
    """A revocation, and how far it is in force."""

    revoked_at: datetime

    @classmethod
    def of_revocation(cls, revoked_at: datetime, effect: EffectPayload) -> "RevocationPayload":
        """How a revocation is shown."""
        return cls(revoked_at=revoked_at, **msgspec.structs.asdict(effect))


class NothingRevoked(Struct, frozen=True):
    """The secret is not known here, or has ended, so there was nothing to end (RFC 7009 §2.2)."""


class BulkRevocationPayload(Struct, frozen=True):
    """How many tokens a bulk revocation has ended, how many had been, and which of the ids named no token has that
    meets the conditions. `revocation` is of all that meet them, and null where none does.
    """

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: RevocationPayload | None

    @classmethod
    def of(cls, bulk: BulkRevocation, revocation: RevocationPayload | None) -> "BulkRevocationPayload":
        """How `bulk` is shown."""
        return cls(bulk.revoked, bulk.already_revoked, bulk.unmatched, revocation)
