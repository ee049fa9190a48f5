"""The guard: what a service puts before its handlers so that only good tokens get through.

    from shared.guard import caller, guard_settings, mount_guard

    mount_guard(app, guard_settings())                               # every route now needs a token
    caller(request).require(Action.READ, Place("PLAT", "PLAT-1"))    # in a handler: this one needs this scope

An answer that goes on for long is given by `open_stream`, so that it ends with its token.

The entry test of this folder: would a third service mount it unchanged?
"""

from shared.guard.caller import Caller, caller
from shared.guard.errors import (
    AddressNotAllowed,
    GuardError,
    GuardUnavailable,
    InsufficientScope,
    QueryNotAllowed,
    QueryUnreadable,
    RateLimited,
    TokenInvalid,
    TokenMissing,
    TokenTwice,
)
from shared.guard.mount import AUTHORITY, FEED, FOLLOWER, mount_guard
from shared.guard.settings import GuardSettings, guard_settings
from shared.guard.stream import Stream, open_stream

__all__ = [
    "AUTHORITY",
    "FEED",
    "FOLLOWER",
    "AddressNotAllowed",
    "Caller",
    "GuardError",
    "GuardSettings",
    "GuardUnavailable",
    "InsufficientScope",
    "QueryNotAllowed",
    "QueryUnreadable",
    "RateLimited",
    "Stream",
    "TokenInvalid",
    "TokenMissing",
    "TokenTwice",
    "caller",
    "guard_settings",
    "mount_guard",
    "open_stream",
]
