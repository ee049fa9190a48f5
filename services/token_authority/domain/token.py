"""An access token as the authority keeps it: what it may do and until when, but not the secret itself."""

from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct

from services.token_authority.domain.errors import InvalidValue
from shared.contract.scope import Scope, ScopeError
from shared.contract.token import ACCESS_TOKEN, digest, hint, mint, random_base62

MAX_NAME_LENGTH: Final = 255
MAX_SCOPES: Final = 100
LAST_EXPIRY: Final = datetime(9999, 1, 1, tzinfo=UTC)

Status = Literal["active", "expired", "revoked"]


class Token(Struct, frozen=True):
    """`hint` shows the last four characters of the secret, for recognition; times are aware, in UTC."""

    id: str
    site_id: str
    name: str
    scopes: tuple[Scope, ...]
    hint: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    owner: str | None = None

    def status(self, now: datetime) -> Status:
        """Revoked wins over expired."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"


class Ended(Struct, frozen=True):
    """When tokens were revoked, and the number of the last of these changes in the log."""

    revoked_at: datetime
    seq: int


class IssuedToken(Struct, frozen=True):
    """A token and, this once, its secret; `digest` is what is kept of it."""

    token: Token
    secret: str
    digest: bytes


class TokenRequest(Struct, frozen=True):
    """What a new token is to be, not yet checked."""

    name: str
    scopes: list[str]
    expires_at: datetime | None = None
    owner: str | None = None


def issue(request: TokenRequest, site_id: str, created_by: str, now: datetime) -> IssuedToken:
    """Check the request and make the token. Raises `InvalidValue` for the first rule that is broken."""
    secret = mint(ACCESS_TOKEN)
    token = Token(
        id=f"tok_{random_base62(16)}",
        site_id=site_id,
        name=_checked_text("name", request.name),
        scopes=_checked_scopes(request.scopes),
        hint=hint(secret),
        created_by=created_by,
        created_at=now,
        expires_at=_checked_expiry(request.expires_at, now),
        owner=None if request.owner is None else _checked_text("owner", request.owner),
    )
    return IssuedToken(token=token, secret=secret, digest=digest(secret))


def _checked_text(field: str, text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME_LENGTH:
        raise InvalidValue((field,), f"1 to {MAX_NAME_LENGTH} characters; this has {len(text)}")
    if text.isspace() or not text.isprintable():
        raise InvalidValue((field,), "something to see, and no control characters")
    return text


def _checked_scopes(texts: list[str]) -> tuple[Scope, ...]:
    if not 1 <= len(texts) <= MAX_SCOPES:
        raise InvalidValue(("scopes",), f"a token has 1 to {MAX_SCOPES} scopes, this one has {len(texts)}")
    scopes = []
    for index, text in enumerate(texts):
        try:
            scopes.append(Scope.parse(text))
        except ScopeError as error:
            raise InvalidValue(("scopes", index), str(error)) from None
    return tuple(dict.fromkeys(scopes))


def _checked_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is None:
        return None
    expires_at = expires_at.replace(microsecond=0)  # as `exp` says it, so that both sides see it end at once
    if expires_at <= now:
        raise InvalidValue(("expires_at",), "a token expires in the future; leave this out for one that never does")
    if expires_at >= LAST_EXPIRY:
        raise InvalidValue(("expires_at",), "a token expires before the year 9999")
    return expires_at.astimezone(UTC)
