"""The problem type and HTTP status of every error of the authority."""

from collections.abc import Sequence
from typing import Final

from services.token_authority.domain.errors import (
    AmbiguousCredential,
    CredentialMissing,
    Forbidden,
    IdempotencyKeyReused,
    InvalidValue,
    LastAdministrator,
    NameTaken,
    NoRole,
    ProviderUnavailable,
    RequestRepeated,
    Restored,
    RotationInUse,
    SecretAsId,
    SecretRefused,
    SecretReplaced,
    SelfRotationForbidden,
    SignInLinkEnded,
    SignInRefused,
    TokenEnded,
    TooManyAttempts,
    TooManySecrets,
    Unauthenticated,
    UnknownAdminKey,
    UnknownSecret,
    UnknownService,
    UnknownToken,
    Widening,
)
from shared.contract.restoration import RESTORED_SLUG
from shared.runtime.http.problem import ErrorDetail, Problem, ProblemTable, unavailable
from shared.runtime.http.problem_types import BAD_REQUEST, INVALID_BODY, RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.pages.forms import ForgedForm
from shared.runtime.postgres.database import DatabaseUnavailable, StatementTimeout, UnstorableValue

RESTORED_RETRY_AFTER_S: Final = 5
"""Someone has to act, so clients need not try again every second."""

UNAUTHENTICATED: Final = ProblemType(
    "unauthenticated",
    401,
    "Unauthenticated",
    meaning="The request has no valid credential. Depending on the route, it needs an admin key, a service's client id "
    "and secret or assertion, or an access token.",
    remedy="Send a credential with a scheme that `WWW-Authenticate` names. If you did, it is malformed, revoked or "
    "expired, of another kind, or an assertion that was used before. Wrong credentials are counted, so do not just "
    "send it again.",
)
TOO_MANY_ATTEMPTS: Final = ProblemType(
    "too-many-attempts",
    429,
    "Too many requests",
    meaning="Within a minute, too many wrong credentials were sent from this address or for this client id, or too "
    "many unknown tokens or unreadable bodies from this address. Valid credentials are still accepted, in their turn. "
    "Or a token got too many secrets within a day.",
    remedy="Correct the credential or the body that the client sends, and wait for the number of seconds in "
    "`Retry-After`.",
)
FORBIDDEN: Final = ProblemType(
    "forbidden",
    403,
    "Forbidden",
    meaning="The admin key is valid and does not allow this request: it has another role, or the request exceeds its "
    "limits on sites and scopes. Or a person may not sign in. Or the request is for a sign-in link, which only a token "
    "authority on a loopback address has.",
    remedy="Use an admin key as `detail` describes, or request less: a token cannot have more than the limits of the "
    "admin key that issues it. To sign in, do what `detail` says. Instead of by a link, sign in with an admin key.",
)
UNKNOWN_TOKEN: Final = ProblemType(
    "unknown-token",
    404,
    "Unknown token",
    meaning="No token has this id or secret, or the admin key may not see it.",
    remedy="Find the token in `GET /v1/tokens`. Use its `id`, which is not its secret. If you only have the secret, "
    "`POST /v1/tokens/find` returns the id.",
)
UNKNOWN_ADMIN_KEY: Final = ProblemType(
    "unknown-admin-key",
    404,
    "Unknown admin key",
    meaning="No admin key has this id, or it is revoked.",
    remedy="Find the admin key in `GET /v1/admin-keys`.",
)
UNKNOWN_SERVICE: Final = ProblemType(
    "unknown-service",
    404,
    "Unknown service",
    meaning="Unknown client id.",
    remedy="Find the service in `GET /v1/services`.",
)
NAME_TAKEN: Final = ProblemType(
    "name-taken",
    409,
    "Conflict",
    meaning="The name is already in use, and names are unique.",
    remedy="Choose another name, or change the resource that has it.",
)
TOKEN_ENDED: Final = ProblemType(
    "token-ended",
    409,
    "Conflict",
    meaning="The token is revoked or has expired, so it cannot be changed. A revoked token is revoked permanently.",
    remedy="Renew an expired token: rotate it with a new `expires_in` or `expires_at`. Instead of a revoked one, issue "
    "a new token.",
)
TOO_MANY_SECRETS: Final = ProblemType(
    "too-many-secrets",
    409,
    "Conflict",
    meaning="The token, admin key or service already has the maximum number of valid secrets. A token that its holder "
    "rotates has two at most.",
    remedy="Wait until the overlap of an earlier rotation is over, or rotate with an overlap of 0, which ends the "
    "older secrets immediately.",
)
IDEMPOTENCY_KEY_REUSED: Final = ProblemType(
    "idempotency-key-reused",
    422,
    "Idempotency-Key reused",
    meaning="This `Idempotency-Key` was used before with a different request by the same caller at the same route. "
    "Nothing was changed.",
    remedy="Repeat the first request unchanged to complete it, or choose another key for another request.",
)
ROTATION_IN_USE: Final = ProblemType(
    "rotation-in-use",
    409,
    "Conflict",
    meaning="The request was repeated with its `Idempotency-Key`, but the secret that it created is already in use, "
    "was rotated since, or has ended. It is not replaced, so that its user is not locked out.",
    remedy="If the secret is lost, rotate with another `Idempotency-Key`.",
)
SELF_ROTATION_FORBIDDEN: Final = ProblemType(
    "self-rotation-forbidden",
    403,
    "Forbidden",
    meaning="The token works, and its holder may not rotate it.",
    remedy="Ask an administrator of this token authority to rotate the token, or to set its `self_rotation` to true.",
)
SECRET_REPLACED: Final = ProblemType(
    "secret-replaced",
    409,
    "Conflict",
    meaning="The presented secret was replaced by a rotation and works only until its end. It cannot rotate the token "
    "again.",
    remedy="Rotate with the newest secret. If it was lost with a response, repeat that request with its "
    "`Idempotency-Key`, or ask an administrator to rotate the token.",
)
LAST_ADMINISTRATOR: Final = ProblemType(
    "last-administrator",
    409,
    "Conflict",
    meaning="This is the last admin key in the role admin. Without one, the authority could not be managed.",
    remedy="Create another admin key in that role first, and revoke or change this one with it.",
)
FORGED_FORM: Final = ProblemType(
    "forged-form",
    403,
    "Forbidden",
    meaning="A form of a settings page was sent by a page of another site, or by a page of another session. Nothing "
    "was changed.",
    remedy="Open the page here and repeat what you did. If a proxy in front changes the Host header, set "
    "`TOKEN_AUTHORITY_ISSUER` to the URL that browsers use.",
)
WIDENING: Final = ProblemType(
    "widening",
    422,
    "Permissions cannot be widened",
    meaning="The change would allow a token in use, or an admin key, more than before. The permissions of both can "
    "only be reduced.",
    remedy="Issue a new token, or create a new admin key, with the permissions that you need. `errors` names the field "
    "that would widen this one.",
)
RESTORED: Final = ProblemType(
    RESTORED_SLUG,
    503,
    "Database restored",
    meaning="The database of the token authority lacks changes that were made before: it was restored from a backup, "
    "or a standby without the last commits has taken over. Revoked tokens and credentials would work again in it, so "
    "the token authority accepts none until an operator has finished the restoration.",
    remedy="An operator runs `pollgate restore status`, which says what was found, and `pollgate restore finish`. "
    "Afterwards the same request works again. A change that was requested when this began may or may not have been "
    "made: repeat it.",
)
UNSTORABLE: Final = ProblemType(
    "unstorable",
    422,
    "Invalid value",
    meaning="A text contains a character that the database cannot store.",
    remedy="Remove such characters from the values, usually the NUL character.",
)

PROBLEM_TYPES: Final = (
    *RUNTIME_PROBLEM_TYPES,
    UNAUTHENTICATED,
    TOO_MANY_ATTEMPTS,
    FORBIDDEN,
    UNKNOWN_TOKEN,
    UNKNOWN_ADMIN_KEY,
    UNKNOWN_SERVICE,
    NAME_TAKEN,
    TOKEN_ENDED,
    TOO_MANY_SECRETS,
    IDEMPOTENCY_KEY_REUSED,
    ROTATION_IN_USE,
    SELF_ROTATION_FORBIDDEN,
    SECRET_REPLACED,
    LAST_ADMINISTRATOR,
    FORGED_FORM,
    WIDENING,
    RESTORED,
    UNSTORABLE,
)
"""Every problem type of the authority."""


def _invalid_value(error: InvalidValue) -> Problem:
    return Problem(INVALID_BODY, error.reason, (_error_detail(error),))


def _widening(error: Widening) -> Problem:
    return Problem(WIDENING, error.reason, (_error_detail(error),))


def _error_detail(error: InvalidValue | Widening) -> ErrorDetail:
    return ErrorDetail(error.reason, pointer="".join(f"/{step}" for step in error.path))


def _challenge(schemes: Sequence[str], error: str | None = None) -> dict[str, str]:
    """Return the header with a challenge for each scheme (RFC 6750 §3, RFC 7617 §2), with the `error` for Bearer.

    A request for a route with several schemes is that of an OAuth client, whose error is in the body (RFC 6749 §5.2).
    """
    bearer = f', error="{error}"' if error and len(schemes) == 1 else ""
    parameters = {"Basic": ', charset="UTF-8"', "Bearer": bearer}
    return {"WWW-Authenticate": ", ".join(f'{each} realm="token authority"{parameters[each]}' for each in schemes)}


def _unauthenticated(error: Unauthenticated) -> Problem:
    code = None if isinstance(error, CredentialMissing) else "invalid_token"
    return Problem(UNAUTHENTICATED, error.detail, headers=_challenge(error.schemes, code))


def _too_many_attempts(error: TooManyAttempts) -> Problem:
    detail = f"{error.detail}; try again in {error.retry_after_s} s."
    return Problem(TOO_MANY_ATTEMPTS, detail, headers={"Retry-After": str(error.retry_after_s)})


PROBLEMS: Final[ProblemTable] = {
    InvalidValue: _invalid_value,
    Widening: _widening,
    Unauthenticated: _unauthenticated,
    TooManyAttempts: _too_many_attempts,
    AmbiguousCredential: lambda e: Problem(BAD_REQUEST, e.detail, headers=_challenge(e.schemes, "invalid_request")),
    SecretRefused: lambda e: Problem(BAD_REQUEST, str(e)),
    Forbidden: lambda e: Problem(FORBIDDEN, str(e), headers=_challenge(["Bearer"], "insufficient_scope")),
    SignInLinkEnded: lambda _: Problem(FORBIDDEN, "This sign-in link was used before, or has expired."),
    UnknownToken: lambda _: Problem(UNKNOWN_TOKEN, "Unknown token id."),
    UnknownSecret: lambda _: Problem(UNKNOWN_TOKEN, "No token that this admin key may see has this secret."),
    SecretAsId: lambda _: Problem(
        UNKNOWN_TOKEN,
        "This is the secret of a token, not its id. Send it in the body of POST /v1/tokens/find, which returns the id.",
    ),
    UnknownAdminKey: lambda _: Problem(UNKNOWN_ADMIN_KEY, "Unknown admin key id."),
    UnknownService: lambda _: Problem(UNKNOWN_SERVICE, "Unknown client id."),
    NameTaken: lambda e: Problem(NAME_TAKEN, str(e)),
    TokenEnded: lambda e: Problem(TOKEN_ENDED, str(e)),
    TooManySecrets: lambda e: Problem(
        TOO_MANY_SECRETS, f"{e}. Wait until an overlap is over, or rotate with an overlap of 0."
    ),
    SelfRotationForbidden: lambda _: Problem(
        SELF_ROTATION_FORBIDDEN,
        "The holder may not rotate this token. Ask an administrator of the token authority to rotate it, or to set its "
        "`self_rotation` to true.",
    ),
    SecretReplaced: lambda _: Problem(
        SECRET_REPLACED, "This secret was replaced by a newer one; rotate with that one."
    ),
    IdempotencyKeyReused: lambda _: Problem(
        IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key was used with a different request; choose another key."
    ),
    RequestRepeated: lambda e: Problem(IDEMPOTENCY_KEY_REUSED, str(e)),
    RotationInUse: lambda _: Problem(
        ROTATION_IN_USE,
        "The secret that this request created is already in use, was rotated since or has ended, so it is not "
        "replaced. If it is lost, rotate with another Idempotency-Key.",
    ),
    LastAdministrator: lambda _: Problem(
        LAST_ADMINISTRATOR, "This is the last admin key in the role admin; create another one first."
    ),
    ForgedForm: lambda e: Problem(FORGED_FORM, str(e)),
    NoRole: lambda _: Problem(
        FORBIDDEN,
        "None of your groups at the identity provider has a role here. Ask an administrator to add you to a group that "
        "has one, or sign in with an admin key.",
    ),
    SignInRefused: lambda e: Problem(FORBIDDEN, f"You are not signed in: {e}. Sign in again."),
    ProviderUnavailable: lambda _: unavailable(
        "The identity provider does not answer, or not as expected; sign in with an admin key, or try again later."
    ),
    Restored: lambda _: Problem(
        RESTORED,
        "The database of the token authority was restored, so no token and no credential is accepted until an operator "
        "has finished the restoration with `pollgate restore finish`.",
        headers={"Retry-After": str(RESTORED_RETRY_AFTER_S)},
    ),
    UnstorableValue: lambda _: Problem(UNSTORABLE, "A value contains a character that cannot be stored."),
    StatementTimeout: lambda _: unavailable(
        "The database of the token authority took too long; try again, or ask for less, such as a search with more "
        "conditions."
    ),
    DatabaseUnavailable: lambda _: unavailable("The database of the token authority is unavailable; try again."),
}
