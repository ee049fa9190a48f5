"""Every error that an operation of the authority may raise. `problems.py` has the HTTP response to each."""


class InvalidValue(ValueError):
    """A value breaks a rule. `path` leads to it from the outermost field."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class UnknownToken(LookupError):
    """No token has this id, or none that the caller may see."""


class UnknownSecret(UnknownToken):
    """No token has this secret, or none that the caller may see."""


class SecretAsId(UnknownToken):
    """The id of a token is the secret of one."""


class UnknownAdminKey(LookupError):
    """No admin key has this id."""


class UnknownService(LookupError):
    """No service has this client id."""


class Unauthenticated(Exception):
    """The request has no valid credential for this route. `schemes` are the HTTP authentication schemes it accepts."""

    def __init__(self, detail: str, *schemes: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.schemes = schemes


class CredentialMissing(Unauthenticated):
    """The request has no credential that this route accepts, so none was checked."""


class AmbiguousCredential(Exception):
    """The request has more than one credential. `schemes` are those of `Unauthenticated`."""

    def __init__(self, detail: str, *schemes: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.schemes = schemes


class SecretRefused(Exception):
    """A value that should be a secret cannot be one; the message says why, and does not repeat it."""


class InvalidAssertion(Unauthenticated):
    """A client assertion is malformed, expired or meant for another audience, whatever key signed it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid client assertion: {reason}.", "Basic", "Bearer")


class SignInLinkEnded(Exception):
    """The sign-in link was used before, has expired, or its admin key no longer works."""


class TooManyAttempts(Exception):
    """The caller has to wait for `retry_after_s` seconds. `detail` names the limit that was exceeded."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class Forbidden(Exception):
    """The caller's admin key does not allow the request; the message says what would."""


class NoRole(Exception):
    """None of the person's groups at the identity provider has a role in this authority."""


class SignInRefused(Exception):
    """The response of the identity provider does not sign in a person; the message says why, without any secret."""


class ProviderUnavailable(Exception):
    """The identity provider does not answer, or not as OpenID Connect requires; the message is for the log."""


class Widening(Exception):
    """The change would allow a token or an admin key more than before. `path` leads to the field."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class TokenEnded(Exception):
    """The token is revoked or has expired, so it cannot be changed; the message says how to go on."""


class TooManySecrets(Exception):
    """The holder already has the maximum number of valid secrets; the message says how many."""


class SelfRotationForbidden(Exception):
    """The token may not be rotated by its holder."""


class SecretReplaced(Exception):
    """The presented secret has an end, because a rotation has replaced it with a newer one."""


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key was used before with a different request."""


class RequestRepeated(Exception):
    """The request was sent before, and must not be repeated. `holder_id` is what it created or changed."""

    def __init__(self, holder_id: str) -> None:
        super().__init__("This request was sent before.")
        self.holder_id = holder_id


class RotationInUse(Exception):
    """The secret that the repeated request created was used, was rotated or has ended, so it is not replaced."""


class LastAdministrator(Exception):
    """The admin key is the last one in the role admin, so it can neither be revoked nor get another role."""


class NameTaken(Exception):
    """The name is already in use."""


class Restored(Exception):
    """The database was restored, so revoked tokens and credentials may work again in it; an operator has to finish."""
