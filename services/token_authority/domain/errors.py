"""What can be wrong with a request to the authority, in its own words."""


class InvalidValue(ValueError):
    """A value breaks a rule. `path` leads to it from the outermost field."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class UnknownToken(LookupError):
    """No token has this id, or none that the caller may see."""


class UnknownAdminKey(LookupError):
    """No admin key has this id."""


class UnknownService(LookupError):
    """No service has this client id."""


class Unauthenticated(Exception):
    """The caller has not shown a credential that is good for this route; `schemes` are those by which it could."""

    def __init__(self, detail: str, *schemes: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.schemes = schemes


class TooManyAttempts(Exception):
    """The caller has to wait for `retry_after_s`. `detail` says how much of what is too much."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class Forbidden(Exception):
    """The caller's admin key does not allow this; the message says what it would take."""


class Widening(Exception):
    """A token in use would be allowed more. `path` leads to the field that would."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class TokenEnded(Exception):
    """The token has been revoked or has expired, so nothing about it can change."""


class TooManySecrets(Exception):
    """So many secrets of one holder work at once that there cannot be another."""


class RotationDiffers(Exception):
    """An Idempotency-Key has come before with another request."""


class RotationInUse(Exception):
    """The new secret of a repeated rotation is in use already, so it is not replaced."""


class LastAdministrator(Exception):
    """Without this admin key nobody could manage the authority."""


class NameTaken(Exception):
    """Something of this name exists already."""
