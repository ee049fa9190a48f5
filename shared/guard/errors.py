"""Why a guard does not let a request through."""

from ipaddress import IPv4Address, IPv6Address

from shared.contract.scope import Action, Path, Scope


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


class QueryNotAllowed(GuardError):
    """The token works, and may not be sent in a URL."""


class AddressNotAllowed(GuardError):
    """The token works, and not from `address`, which is `None` where it cannot be told."""

    def __init__(self, address: IPv4Address | IPv6Address | None) -> None:
        self.address = address
        super().__init__(str(address))


class RateLimited(GuardError):
    """The token works, and has been sent more often than its `limit` a minute; not again in `retry_after_s`."""

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self.limit = limit
        self.retry_after_s = retry_after_s
        super().__init__(str(limit))


class InsufficientScope(GuardError):
    """The token works, and not for this. `needed` is the narrowest scope that would do."""

    def __init__(self, action: Action, path: Path) -> None:
        self.needed = Scope(frozenset({action}), path)
        super().__init__(str(self.needed))


class GuardUnavailable(GuardError):
    """Nothing can be known of the token now, so it is refused for now: the token authority does not answer."""
