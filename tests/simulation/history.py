"""What happened, by one clock, and whether it is what was promised. Knows nothing of how it came about."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Outcome = Literal["accepted", "refused", "unknown"]


class Request(NamedTuple):
    """A request with a token, from when it was sent until its outcome was known."""

    token: str
    guard: str
    sent_at: float
    outcome: Outcome


class Revocation(NamedTuple):
    """A revocation; `answered_at` is when its answer said that it is in force, or `None`."""

    token: str
    sent_at: float
    answered_at: float | None


class History(NamedTuple):
    """All of it, in any order."""

    requests: list[Request]
    revocations: list[Revocation]


def findings(history: History) -> list[str]:
    """Each request whose outcome breaks the promise; empty where all is well."""
    ended_at: dict[str, float] = {}
    attempted: set[str] = {each.token for each in history.revocations}
    for each in history.revocations:
        if each.answered_at is not None:
            ended_at[each.token] = min(each.answered_at, ended_at.get(each.token, each.answered_at))
    return [*_accepted_after(history.requests, ended_at), *_refused_without_reason(history.requests, attempted)]


def _accepted_after(requests: Sequence[Request], ended_at: dict[str, float]) -> list[str]:
    return [
        f"{each.guard} accepted {each.token}, sent at {each.sent_at:.6f}, revoked at {ended_at[each.token]:.6f}"
        for each in requests
        if each.outcome == "accepted" and each.sent_at > ended_at.get(each.token, float("inf"))
    ]


def _refused_without_reason(requests: Sequence[Request], attempted: set[str]) -> list[str]:
    return [
        f"{each.guard} refused {each.token}, sent at {each.sent_at:.6f}, which nobody has revoked"
        for each in requests
        if each.outcome == "refused" and each.token not in attempted
    ]
