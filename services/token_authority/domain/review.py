"""The review of tokens: its kinds of findings, the reason and remedy of each, and which are kept."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.selection import Selection
from services.token_authority.domain.token import Token
from services.token_authority.domain.usage import Use

FindingKind = Literal[
    "unused", "never_used", "never_expires", "reaches_any", "expiring", "rotated_secret_in_use", "owner_inactive"
]
FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)
"""In the order in which findings are listed."""

KEEPABLE: Final = tuple(kind for kind in FINDING_KINDS if kind != "rotated_secret_in_use")
"""The kinds of findings that may be kept. A kept alert would hide the next use of the replaced secret."""

MAX_DAYS: Final = 3650
LATE_USE_REPORTED: Final = timedelta(days=30)
"""How long a use of a secret after its end stays a finding."""

DEFAULT_KEPT_DAYS: Final = 90
MAX_KEPT_DAYS: Final = 365


class Review(Struct, frozen=True):
    """The parameters of a review at `now`: when a token counts as unused, and when as expiring.

    Only tokens of `selection` are findings; findings that are kept only with `include_kept`.
    """

    now: datetime
    unused_days: int
    expiring_days: int
    selection: Selection = Selection()
    include_kept: bool = False

    @property
    def unused_since(self) -> datetime:
        """A token is unused if it was created and last used before this time."""
        return self.now - timedelta(days=self.unused_days)

    @property
    def expiring_until(self) -> datetime:
        """A token is expiring if it ends at this time or earlier."""
        return self.now + timedelta(days=self.expiring_days)

    @property
    def late_since(self) -> datetime:
        """A use of a secret after its end is a finding from this time on."""
        return self.now - LATE_USE_REPORTED


class Evidence(NamedTuple):
    """The facts of a finding: the last use of the token, when a replaced secret in use ends, and when one was last
    presented after its end.
    """

    last_used_at: datetime | None = None
    replaced_ends_at: datetime | None = None
    late_use_at: datetime | None = None


class Advice(NamedTuple):
    """Why a token is a finding, and what to do: one sentence each."""

    reason: str
    remedy: str


class KeptFinding(Struct, frozen=True):
    """A finding that an administrator has looked at: the review leaves it out until `kept_until`."""

    token_id: str
    kind: FindingKind
    kept_until: datetime
    kept_by: str


class ReviewCompletion(NamedTuple):
    """When an administrator has completed a review of the tokens, and which one."""

    at: datetime
    by: str


class Candidate(NamedTuple):
    """A token of one kind of finding, with its use and the evidence, and until when the finding is kept."""

    token: Token
    use: Use
    evidence: Evidence
    kept: KeptFinding | None


class FindingPlace(NamedTuple):
    """The position of a finding in the list of all findings."""

    kind: FindingKind
    token_id: str


class Finding(NamedTuple):
    """A token that needs attention, with advice. `kept` is `None` for a finding that is not kept."""

    kind: FindingKind
    token: Token
    use: Use
    advice: Advice
    kept: KeptFinding | None

    @property
    def place(self) -> FindingPlace:
        """The position after which the next page begins."""
        return FindingPlace(self.kind, self.token.id)


def new_kept_finding(token_id: str, kind: FindingKind, days: int, kept_by: str, now: datetime) -> KeptFinding:
    """Return a finding that is kept for these days. Raise `InvalidValue`."""
    if kind not in KEEPABLE:
        raise InvalidValue(("kind",), f"a finding of the kind {kind} is an alert, which needs an answer")
    if not 1 <= days <= MAX_KEPT_DAYS:
        raise InvalidValue(("days",), f"must be 1 to {MAX_KEPT_DAYS} days")
    return KeptFinding(token_id, kind, now + timedelta(days=days), kept_by)


def advice(kind: FindingKind, token: Token, evidence: Evidence, review: Review) -> Advice:
    """Return the advice for a finding."""
    return _ADVICE[kind](token, evidence, review)


def _unused(token: Token, evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        f"It was last used on {_day(evidence.last_used_at or token.created_at)}.",
        "Revoke it if it is no longer needed. If you do not know, disable it and wait for a complaint.",
    )


def _never_used(token: Token, _evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        f"It was created on {_day(token.created_at)} and has never been used.",
        "Revoke it, or give it an expiry if it will still be used.",
    )


def _never_expires(_token: Token, _evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        "It never expires, so it works until it is revoked.",
        "Give it an expiry, and rotate it with a new expiry before then.",
    )


def _reaches_any(token: Token, _evidence: Evidence, _review: Review) -> Advice:
    scopes = ", ".join(str(scope) for scope in token.scopes if not scope.path)
    return Advice(
        f"Its scope {scopes} covers every workspace.",
        "Narrow its scopes to the workspaces in which it is used.",
    )


def _expiring(token: Token, _evidence: Evidence, _review: Review) -> Advice:
    return Advice(
        f"It expires on {_moment(token.expires_at)}.",
        "If it is still needed, rotate it with a new expiry before then.",
    )


def _rotated_secret_in_use(_token: Token, evidence: Evidence, _review: Review) -> Advice:
    if evidence.late_use_at is not None:
        return Advice(
            f"One of its secrets was presented on {_moment(evidence.late_use_at)}, after its end.",
            "Find out where the old secret is still used. If you cannot, revoke the token.",
        )
    return Advice(
        f"A replaced secret is still used, and ends on {_moment(evidence.replaced_ends_at)}.",
        "Replace the old secret with the new one everywhere before then.",
    )


def _owner_inactive(token: Token, _evidence: Evidence, review: Review) -> Advice:
    return Advice(
        f"No other token of {token.owner} was created or used in the last {_days(review.unused_days)}.",
        f"Find out whether {token.owner} is still active. If not, revoke it or give it another owner.",
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
