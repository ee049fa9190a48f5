"""Revocations in requests and responses, and how far a change is effective."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.lease import Effect
from services.token_authority.domain.reason import Reason, ReasonKind, new_reason
from services.token_authority.domain.revocation import BulkRevocation
from services.token_authority.domain.selection import Selection, StatusFilter, new_selection
from services.token_authority.domain.token_fields import read_time_field
from services.token_authority.payloads.fields import EXAMPLE_TOKEN, STATUSES, Search, StartTime, Statuses
from shared.contract.presented_secret import resembles_secret

ReasonText = Annotated[str, Meta(description="a comment of up to 500 characters; required with the reason `other`")]
MAX_LEAKED = 1000


class Waiting(Struct, frozen=True):
    """Whether the response waits for the change to be effective."""

    wait: Annotated[bool, Meta(description="respond when the change is effective everywhere; else immediately")] = True


class RevokeToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a token is revoked."""

    reason: ReasonKind
    text: ReasonText | None = None

    def to_reason(self) -> Reason:
        """Return the reason. Raise `InvalidValue`."""
        return new_reason(self.reason, self.text)


class RevokeTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Why tokens are revoked, and the conditions that they all meet, or `all` without conditions.

    `scope` selects tokens whose scopes overlap it: `polls:read:PLAT` selects a token for `polls:*:PLAT/PLAT-1`. With
    `dry_run` no token is revoked, and `revoked` is how many would be.
    """

    reason: ReasonKind
    text: ReasonText | None = None
    ids: list[str] | None = None
    owner: str | None = None
    site: str | None = None
    scope: str | None = None
    status: Annotated[StatusFilter | Statuses, Meta(description=STATUSES)] | None = None
    search: Search | None = None
    issued_before: StartTime | None = None
    unused_since: StartTime | None = None
    all: bool = False
    dry_run: bool = False

    def to_reason(self) -> Reason:
        """Return the reason. Raise `InvalidValue`."""
        return new_reason(self.reason, self.text)

    def to_selection(self) -> Selection:
        """Return the selection. Raise `InvalidValue`."""
        names = ("owner", "site", "scope", "search")
        conditions: dict[str, Any] = {name: getattr(self, name) for name in names}
        conditions["ids"] = _read_ids(self.ids)
        conditions["statuses"] = [self.status] if isinstance(self.status, str) else self.status
        conditions["unused_since"] = read_time_field("unused_since", self.unused_since, day="first")
        conditions["created_before"] = read_time_field("issued_before", self.issued_before, day="first")
        if self.all == any(condition is not None for condition in conditions.values()):
            raise InvalidValue((), "must have conditions, or 'all': true without conditions to revoke every token")
        return new_selection(**conditions)


def _read_ids(ids: Sequence[str] | None) -> list[str] | None:
    """Return ids without whitespace around them. Raise `InvalidValue` for a secret, which the response would repeat."""
    if ids is None:
        return None
    for place, token_id in enumerate(ids):
        if resembles_secret(token_id):
            raise InvalidValue(
                ("ids", place),
                "is a secret, not the id of a token, which begins with tok_; POST /oauth2/revoke takes it",
            )
    return [token_id.strip() for token_id in ids]


class LeakedTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Leaked tokens. Anyone who has a token may revoke it."""

    tokens: Annotated[list[str], Meta(min_length=1, max_length=MAX_LEAKED, examples=[[EXAMPLE_TOKEN]])]


class LeakedPayload(Struct, frozen=True):
    """How many of the tokens were revoked now, were revoked or ended before, and are unknown."""

    revoked: int
    already_revoked: int
    unknown: int


class GuardsPayload(Struct, frozen=True):
    """How many guards have confirmed a change, and how many leases expired instead."""

    confirmed: int
    expired: int


class EffectPayload(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far a change is effective. If `effective` is false, it is effective everywhere from `effective_by` on."""

    seq: int
    effective: bool
    waited_ms: float | None = None
    guards: GuardsPayload | None = None
    effective_by: datetime | None = None

    @classmethod
    def of(cls, seq: int, effect: Effect | None, effective_by: datetime) -> "EffectPayload":
        """Return the payload of a change; `effect` is `None` if the request did not wait."""
        effective = effect is not None and effect.effective
        return cls(
            seq=seq,
            effective=effective,
            waited_ms=effect.waited_ms if effect else None,
            guards=GuardsPayload(effect.confirmed, effect.expired) if effect else None,
            effective_by=None if effective else effective_by,
        )


class RevocationPayload(EffectPayload, frozen=True, omit_defaults=True, kw_only=True):
    """A revocation, and how far it is effective."""

    revoked_at: datetime

    @classmethod
    def of_revocation(cls, revoked_at: datetime, effect: EffectPayload) -> "RevocationPayload":
        """Return the payload of a revocation."""
        return cls(revoked_at=revoked_at, **msgspec.structs.asdict(effect))


class NothingRevoked(Struct, frozen=True):
    """The secret is unknown or has ended, so nothing was revoked (RFC 7009 §2.2)."""


class BulkRevocationPayload(Struct, frozen=True):
    """How many tokens were revoked now and before, and the requested ids that match no token. `revocation` covers all
    selected tokens, and is null if there are none.
    """

    revoked: int
    already_revoked: int
    unmatched: list[str]
    revocation: RevocationPayload | None

    @classmethod
    def of(cls, bulk: BulkRevocation, revocation: RevocationPayload | None) -> "BulkRevocationPayload":
        """Return the payload of a bulk revocation."""
        return cls(bulk.revoked, bulk.already_revoked, bulk.unmatched, revocation)
