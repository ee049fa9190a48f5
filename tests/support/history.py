"""A history of calls, timed by one clock, and the checker of the promise. It is independent of the system's code."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

Outcome = Literal["accepted", "refused", "unknown"]
"""`unknown` means that the call says nothing about the token: a server error, a lost connection or a timeout."""

FOREVER: Final = float("inf")


class Request(NamedTuple):
    """A request with a token to a guard, from when it was sent until its outcome was known."""

    token: str
    guard: str
    sent_at: float
    answered_at: float
    outcome: Outcome


class Revocation(NamedTuple):
    """A revocation by a process of the authority; `effective` is what its answer said."""

    token: str
    authority: str
    sent_at: float
    answered_at: float
    effective: bool


class Stop(NamedTuple):
    """A time in which a process did not run: it was stopped, or killed and not yet started again."""

    process: str
    begin: float
    end: float


class History(NamedTuple):
    """All calls, in any order. `beyond` has requests that the token's scopes do not cover."""

    requests: list[Request]
    revocations: list[Revocation]
    beyond: list[Request]
    stops: list[Stop]


def create_history() -> History:
    """Return an empty history."""
    return History([], [], [], [])


def find_violations_of_promise(history: History) -> list[str]:
    """Return one line for each request whose outcome breaks the promise."""
    attempted: dict[str, float] = {}
    ended: dict[str, float] = {}
    for each in history.revocations:
        attempted[each.token] = min(each.sent_at, attempted.get(each.token, FOREVER))
        if each.effective:
            ended[each.token] = min(each.answered_at, ended.get(each.token, FOREVER))
    return (
        [
            f"{each.guard} accepted {each.token}, sent at {each.sent_at:.6f}, revoked at {ended[each.token]:.6f}"
            for each in history.requests
            if each.outcome == "accepted" and each.sent_at > ended.get(each.token, FOREVER)
        ]
        + [
            f"{each.guard} refused {each.token}, answered at {each.answered_at:.6f}, before any revocation"
            for each in history.requests
            if each.outcome == "refused" and each.answered_at < attempted.get(each.token, FOREVER)
        ]
        + [
            f"{each.guard} accepted {each.token} beyond its scope, sent at {each.sent_at:.6f}"
            for each in history.beyond
            if each.outcome == "accepted"
        ]
    )


def find_late_answers(history: History, limit_s: float, revocation_limit_s: float) -> list[str]:
    """Return one line for each answer that took too long although its process ran."""
    calls = [(each.guard, each, limit_s) for each in (*history.requests, *history.beyond)] + [
        (each.authority, each, revocation_limit_s) for each in history.revocations if each.effective
    ]
    return [
        f"{process} took {call.answered_at - call.sent_at:.3f} s for a {type(call).__name__} sent at {call.sent_at:.6f}"
        for process, call, longest in calls
        if call.answered_at - call.sent_at > longest and not _was_stopped(history.stops, process, call)
    ]


def longest_call_s(calls: Iterable[Request] | Iterable[Revocation]) -> float:
    """Return the duration of the slowest call, or 0."""
    return max((each.answered_at - each.sent_at for each in calls), default=0.0)


def _was_stopped(stops: Sequence[Stop], process: str, call: Request | Revocation) -> bool:
    return any(
        stop.process == process and stop.begin <= call.answered_at and call.sent_at <= stop.end for stop in stops
    )
