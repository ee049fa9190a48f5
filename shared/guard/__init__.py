"""The guard: it lets only requests with a working access token reach the handlers of a service.

    from shared.guard import caller, guard_settings, mount_guard, token_with

    mount_guard(app, guard_settings())
    add_routes(app, [Route("GET", "/reports/{id}", Endpoint(show_report), token_with(Action.READ))])

    async def show_report(request):
        caller(request).require(Action.READ, Place("PLAT", "PLAT-1"))

Use `open_stream` for a long-lived response: the stream ends when its token stops working.

The entry test of this folder: would a third service mount it unchanged?
"""

from shared.guard.access import TokenAccess, any_token, stream_with, token_with
from shared.guard.caller import Caller, ScopeNotChecked, caller
from shared.guard.errors import (
    AddressNotAllowed,
    BatchOverRateLimit,
    GuardError,
    GuardUnavailable,
    InsufficientScope,
    QueryNotAllowed,
    QueryOfPage,
    QueryUnreadable,
    RateLimited,
    TicketInvalid,
    TicketsUnavailable,
    TokenInvalid,
    TokenMissing,
    TokenTwice,
    TooManyUnknownTokens,
)
from shared.guard.mount import AUTHORITY, FEED, FOLLOWER, UnguardedRoute, mount_guard
from shared.guard.presentation import PresentedToken
from shared.guard.rules import count_items
from shared.guard.settings import GuardSettings, guard_settings
from shared.guard.stream import Stream, open_stream
from shared.guard.tickets import REDACTED_PATTERN, TICKET_LIFE_S, issue_ticket

__all__ = [
    "AUTHORITY",
    "FEED",
    "FOLLOWER",
    "REDACTED_PATTERN",
    "TICKET_LIFE_S",
    "AddressNotAllowed",
    "BatchOverRateLimit",
    "Caller",
    "GuardError",
    "GuardSettings",
    "GuardUnavailable",
    "InsufficientScope",
    "PresentedToken",
    "QueryNotAllowed",
    "QueryOfPage",
    "QueryUnreadable",
    "RateLimited",
    "ScopeNotChecked",
    "Stream",
    "TicketInvalid",
    "TicketsUnavailable",
    "TokenAccess",
    "TokenInvalid",
    "TokenMissing",
    "TokenTwice",
    "TooManyUnknownTokens",
    "UnguardedRoute",
    "any_token",
    "caller",
    "count_items",
    "guard_settings",
    "issue_ticket",
    "mount_guard",
    "open_stream",
    "stream_with",
    "token_with",
]
