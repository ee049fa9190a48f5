"""What a review of tokens finds worth a look, and what it says of each finding: why it is one, and what to do."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

from msgspec import Struct

from services.token_authority.domain.token import Token

FindingKind = Literal[
    "unused", "never_used", "never_expires", "reaches_any", "expiring", "rotated_secret_in_use", "owner_inactive"
]
FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)
"""In the order in which findings are told."""

MAX_DAYS: Final = 3650
LATE_USE_TOLD: Final = timedelta(days=30)
"""For how long it is a finding that a secret was presented after its end."""


class Review(Struct, frozen=True):
    """What is asked at `now`: since when a token is unused, and how soon one that ends is expiring."""

    now: datetime
    unused_days: int
    expiring_days: int

    @property
    def unused_since(self) -> datetime:
        """Before this a token was used last, and made, that is unused."""
        return self.now - timedelta(days=self.unused_days)

    @property
    def expiring_until(self) -> datetime:
        """Until then a token ends that is expiring."""
        return self.now + timedelta(days=self.expiring_days)

    @property
    def late_since(self) -> datetime:
        """From then on it counts that a secret was presented after its end."""
        return self.now - LATE_USE_TOLD


class Evidence(NamedTuple):
    """What a finding rests on beside the token: its last use, when a replaced secret that is in use ends, and when one
    was presented after its end.
    """

    last_used_at: datetime | None = None
    replaced_ends_at: datetime | None = None
    late_use_at: datetime | None = None


class Advice(NamedTuple):
    """Why it is a finding, and what to do: a sentence each."""

    reason: str
    remedy: str


def advice(kind: FindingKind, token: Token, evidence: Evidence, review: Review) -> Advice:
    """What there is to say of a finding."""
    return _ADVICE[kind](token, evidence, review)


def _unused(token: Token, evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        f"It was last used on {_day(evidence.last_used_at or token.created_at)}.",
        "Revoke it if nobody needs it; if nobody knows, disable it and see who asks.",
    )


def _never_used(token: Token, _evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        f"It was made on {_day(token.created_at)} and has never been used.",
        "Revoke it; if it is still to be used, give it an end.",
    )


def _never_expires(_token: Token, _evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        "It has no end, so it works until somebody revokes it.",
        "Give it an end, and make another one when that comes near.",
    )


def _reaches_any(token: Token, _evidence: Evidence, _review: Review) -> Advice:
    scopes = ", ".join(str(scope) for scope in token.scopes if not scope.path)
    return Advice(
        f"Its scope {scopes} reaches every workspace.",
        "Narrow its scopes to the workspaces that it is used for.",
    )


def _expiring(token: Token, _evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        f"It ends on {_moment(token.expires_at)}.",
        "If it is still needed, make another one and put that in its place before then.",
    )


def _rotated_secret_in_use(_token: Token, evidence: Evidence, _review: Review) -> Advice:
    if evidence.late_use_at is not None:
        return Advice(
            f"A secret of it was presented on {_moment(evidence.late_use_at)}, after its end.",
            "Find out who still has the old secret; if nobody knows, revoke the token.",
        )
    return Advice(
        f"A secret of it that has been replaced is still used, and ends on {_moment(evidence.replaced_ends_at)}.",
        "Put the new secret wherever the old one is used before then.",
    )


def _owner_inactive(token: Token, _evidence: Evidence, review: Review) -> Advice:
    return Advice(
        f"No other token of {token.owner} was made or used in the last {_days(review.unused_days)}.",
        f"Find out whether {token.owner} is still there; if not, revoke it or give it another owner.",
    )


_ADVICE: Final[dict[FindingKind, Callable[[Token, Evidence, Review], Advice]]] = {
    "unused": _unused,
    "never_used": _never_used,
    "never_expires": _never_expires,
    "reaches_any": _reaches_any,
    "expiring": _expiring,
    "rotated_secret_in_use": _rotated_secret_in_use,
    "owner_inactive": _owner_inactive,
}


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"


def _moment(at: datetime | None) -> str:
    return "an unknown day" if at is None else f"{_day(at)} at {at:%H:%M} UTC"


def _days(count: int) -> str:
    return "day" if count == 1 else f"{count} days"
