"""Why a guard does not let a request through."""

from shared.contract.scope import Action, Place, Scope


class GuardError(Exception):
    """The request does not get through."""


class TokenMissing(GuardError):
    """The request carries no token."""


class QueryUnreadable(GuardError):
    """The query is not percent-encoded UTF-8, or too long, so no token can be found in it; the message says which."""


class TokenTwice(GuardError):
    """The request carries a token twice (RFC 6750 §2): it could mean either."""


class TokenInvalid(GuardError):
    """The token does not work: malformed, unknown, expired or revoked, which are not told apart."""


class InsufficientScope(GuardError):
    """The token works, and not for this. `needed` is the narrowest scope that would do."""

    def __init__(self, action: Action, place: Place) -> None:
        self.needed = Scope(frozenset({action}), place.path)
        super().__init__(str(self.needed))


class GuardUnavailable(GuardError):
    """Nothing can be known of the token now, so it is refused for now: the token authority does not answer."""
