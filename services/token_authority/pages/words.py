"""Say in words what scopes allow, what a status means, and who did something."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.token_authority.domain.selection import EXPIRING
from services.token_authority.domain.token import Token
from shared.contract.scope import Action, Scope

_VERBS: Final[Mapping[Action, str]] = {
    Action.READ: "read",
    Action.CREATE: "create",
    Action.UPDATE: "change",
    Action.DELETE: "delete",
    Action.VOTE: "vote in",
    Action.RESULTS: "see the results of",
}
_STATUSES: Final[Mapping[str, str]] = {
    "active": "Active",
    "expiring": "Expires soon",
    "disabled": "Disabled",
    "expired": "Expired",
    "revoked": "Revoked",
}


class Chip(NamedTuple):
    """A scope in short. `covers_all`: it is for every workspace."""

    text: str
    covers_all: bool


class StatusWord(NamedTuple):
    """A status and its name for readers."""

    status: str
    text: str


def describe_scope(scope: Scope) -> str:
    """Return what a scope allows, as a sentence without its full stop: `Read and create polls in PLAT`."""
    verbs = [verb for action, verb in _VERBS.items() if action in scope.actions]
    what = "do everything with" if scope.is_wildcard else _join(verbs)
    sentence = f"{what} polls {_describe_place(scope.path)}"
    return sentence[0].upper() + sentence[1:]


def describe_scopes(scopes: Iterable[Scope]) -> list[str]:
    """Return a sentence for each scope."""
    return [f"{describe_scope(scope)}." for scope in scopes]


def chips(scopes: Sequence[Scope]) -> list[Chip]:
    """Return the scopes in short: `PLAT/PLAT-1: read, vote`, or `Every workspace: all`."""
    return [
        Chip(f"{'/'.join(scope.path) or 'Every workspace'}: {_short_actions(scope)}", not scope.path)
        for scope in scopes
    ]


def status_of(token: Token, now: datetime) -> StatusWord:
    """Return the status of a token at `now`, with `expiring` for an active one that ends soon."""
    status: str = token.status(now)
    if status == "active" and token.expires_at is not None and token.expires_at <= now + EXPIRING:
        status = "expiring"
    return StatusWord(status, _STATUSES[status])


def _describe_place(path: Sequence[str]) -> str:
    match path:
        case (workspace, content, container):
            return f"in {container} on {content} in {workspace}"
        case (workspace, content):
            return f"on {content} in {workspace}"
        case (workspace,):
            return f"in {workspace}"
    return "in every workspace"


def _short_actions(scope: Scope) -> str:
    return "all" if scope.is_wildcard else ", ".join(action for action in Action if action in scope.actions)


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
