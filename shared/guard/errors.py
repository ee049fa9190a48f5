"""The reasons for which a guard refuses a request. `problems.py` maps them to HTTP responses."""

from ipaddress import IPv4Address, IPv6Address

from shared.contract.scope import Action, Path, Scope
from shared.runtime.process.outage import Unavailable


class GuardError(Exception):
    """The guard refuses the request."""


class TokenMissing(GuardError):
    """The request has no token."""


class QueryUnreadable(GuardError):
    """The query cannot be searched for a token: it is not percent-encoded UTF-8, or too long. The message says it."""


class TokenTwice(GuardError):
    """The request has more than one token, so it is ambiguous (RFC 6750 §2)."""


class TokenInvalid(GuardError):
    """The token does not work: it is malformed, unknown, disabled, expired or revoked.

    The message is for the caller. It says what is wrong with the form of a malformed token; for a well-formed one it is
    always the same.
    """

    def __init__(self, detail: str = "This access token does not work.") -> None:
        super().__init__(detail)


class TooManyUnknownTokens(GuardError):
    """Too many tokens from this address did not work, or are being introspected; `limit` is per minute."""

    def __init__(self, retry_after_s: int, limit: int | None = None) -> None:
        self.retry_after_s = retry_after_s
        self.limit = limit
        super().__init__(str(limit))


class QueryNotAllowed(GuardError):
    """The token works, but must not be sent in a URL."""


class QueryOfPage(GuardError):
    """A page of a listed origin has sent a token in a URL, where its history, its links and proxies keep it."""


class TicketInvalid(GuardError):
    """The stream ticket does not work: it is unknown, has expired, was used, or is for another stream."""


class TicketsUnavailable(GuardError):
    """Stream tickets can be neither stored nor read at the moment, because Redis does not respond."""


class AddressNotAllowed(GuardError):
    """The token works, but not from `address`, which is `None` if it is unknown."""

    def __init__(self, address: IPv4Address | IPv6Address | None) -> None:
        self.address = address
        super().__init__(str(address))


class RateLimited(GuardError):
    """The token has reached its `limit` of requests per minute, or fewer than `cost` are left.

    As many are allowed in `retry_after_s` seconds.
    """

    def __init__(self, limit: int, retry_after_s: int, cost: int = 1) -> None:
        self.limit = limit
        self.retry_after_s = retry_after_s
        self.cost = cost
        super().__init__(str(limit))


class BatchOverRateLimit(GuardError):
    """A batch has more items than the token may send per minute, so it can never be carried out."""

    def __init__(self, items: int, limit: int) -> None:
        super().__init__(
            f"The batch has {items} items, which count as {items} requests, and this access token may send {limit} per "
            f"minute. Send at most {limit} items at once."
        )


class InsufficientScope(GuardError):
    """The token works, but its scopes do not cover the request. `needed` is the narrowest scope that does."""

    def __init__(self, action: Action, path: Path) -> None:
        self.needed = Scope(frozenset({action}), path)
        super().__init__(str(self.needed))


class GuardUnavailable(GuardError, Unavailable):
    """The token cannot be checked at the moment, because the token authority does not answer."""


class AuthorityRestored(GuardUnavailable):
    """The token authority answers nothing, because its database was restored; an operator has to finish that."""
