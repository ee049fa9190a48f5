"""The JSON of the authority's API, as Structs that validate and encode."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from services.token_authority.domain.site import Site
from services.token_authority.domain.token import IssuedToken, Status, Token, TokenRequest
from services.token_authority.operations.revoke import Revocation


class CreateToken(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tokens`; without `site` for the default site, without `expires_at` for good."""

    name: str
    scopes: list[str]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    site: str | None = None

    def to_request(self) -> TokenRequest:
        """What the domain is asked for."""
        return TokenRequest(name=self.name, scopes=self.scopes, expires_at=self.expires_at)


class TokenPayload(Struct, frozen=True):
    """A token as it is shown at any time."""

    id: str
    name: str
    site: str
    scopes: list[str]
    hint: str
    status: Status
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: Token, now: datetime) -> "TokenPayload":
        """How `token` is shown at `now`."""
        return cls(
            id=token.id,
            name=token.name,
            site=token.site_id,
            scopes=[str(scope) for scope in token.scopes],
            hint=token.hint,
            status=token.status(now),
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
        )


class IssuedTokenPayload(TokenPayload, frozen=True):
    """A token as it is shown when it is made, this once with its secret."""

    token: str

    @classmethod
    def of_issued(cls, issued: IssuedToken, now: datetime) -> "IssuedTokenPayload":
        """How a token just issued is shown."""
        shown = TokenPayload.of(issued.token, now)
        return cls(**msgspec.structs.asdict(shown), token=issued.secret)


class TokenPage(Struct, frozen=True):
    """A page of tokens by name. `next` is the `cursor` of the page behind it, or null."""

    items: list[TokenPayload]
    next: str | None


class SitePayload(Struct, frozen=True):
    """A site; its polls are under `/x1/{endpoint_id}` of the polls service."""

    id: str
    name: str
    endpoint_id: str
    created_at: datetime

    @classmethod
    def of(cls, site: Site) -> "SitePayload":
        """How `site` is shown."""
        return cls(id=site.id, name=site.name, endpoint_id=site.endpoint_id, created_at=site.created_at)


class SitePage(Struct, frozen=True):
    """Every site, the default one first."""

    items: list[SitePayload]


class RevocationPayload(Struct, frozen=True):
    """When the token was revoked, and the number of that change in the log."""

    id: str
    revoked_at: datetime
    seq: int

    @classmethod
    def of(cls, revocation: Revocation) -> "RevocationPayload":
        """How `revocation` is shown."""
        return cls(id=revocation.token_id, revoked_at=revocation.revoked_at, seq=revocation.seq)
