"""The access rules of guarded routes: which action of a scope the handler of a route has to require."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from shared.contract.scope import Action
from shared.guard.admission import admit_to
from shared.guard.errors import GuardError
from shared.guard.presentation import PresentedToken
from shared.guard.tickets import TICKET_LIFE_S, take_token_or_ticket
from shared.runtime.http.routes import Access

TOKEN_SECURITY: Final = ("token", "token_in_url")
"""The names in `SECURITY_SCHEMES` of the two ways to send a token."""
STREAM_SECURITY: Final = (*TOKEN_SECURITY, "ticket")
SECURITY_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "An access token, pgt_…"},
    "token_in_url": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "An access token in the URL, if the token may be sent there; `access_token` is read alike",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": f"A stream ticket, pge_…, which works once within {TICKET_LIFE_S} seconds",
    },
}
"""The security schemes for the OpenAPI document of a guarded service."""
REFUSALS: Final = {
    401: "The access token is missing or does not work.",
    403: "The access token works, but not for this action or place, from this address, or in a URL.",
    429: "The access token has reached its rate limit, or too many tokens from this address do not work; see "
    "`Retry-After`.",
}
"""The statuses with which the guard refuses a request, for the descriptions of guarded routes."""


class TokenAccess(Access, frozen=True, kw_only=True):
    """The access rule of a route that needs an access token. Create it with `token_with` or `any_token`.

    With `actions`, the handler has to require one of them before it responds with a success. With `counts_items`, the
    request counts as many times against the token's rate limit as the handler says by `count_items`.
    `find_token` finds the token of a request that does not send it as RFC 6750 §2 says, as by a ticket or a session; it
    raises `GuardError` or a redirection if there is none. `show_refusal` returns what a page shows for a refusal, or
    `None` for its problem.
    """

    actions: frozenset[Action] = frozenset()
    counts_items: bool = False
    find_token: Callable[[web.Request], Awaitable[PresentedToken]] | None = None
    show_refusal: Callable[[web.Request, GuardError], Awaitable[web.StreamResponse | None]] | None = None

    def apply_to(self, handler: Handler) -> Handler:
        """Return a handler that lets only requests with a working token through to this one."""
        return admit_to(handler, self)


def token_with(action: Action, *others: Action, security: tuple[str, ...] = TOKEN_SECURITY) -> TokenAccess:
    """Let requests with a working token through, to a handler that requires one of the actions.

    The handler knows the place, so it calls `caller(request).require(…)` or `.require_paths(…)`. If it responds with a
    success without having done so, returned, raised or streamed, `ScopeNotChecked` is raised before anything is sent.
    """
    return TokenAccess(security=security, problems=REFUSALS, actions=frozenset({action, *others}))


def stream_with(action: Action, *others: Action) -> TokenAccess:
    """Do what `token_with` does, for a stream that may also be opened by a ticket: see `tickets.py`."""
    return TokenAccess(
        security=STREAM_SECURITY,
        problems=REFUSALS,
        actions=frozenset({action, *others}),
        find_token=take_token_or_ticket,
    )


def any_token(security: tuple[str, ...] = TOKEN_SECURITY, *, counts_items: bool = False) -> TokenAccess:
    """Let every request with a working token through, regardless of its scopes.

    Use it for routes that are the same for every token, and for handlers that check each part of a request. With
    `counts_items`, the handler calls `count_items` once it has read the parts.
    """
    return TokenAccess(security=security, problems=REFUSALS, counts_items=counts_items)
