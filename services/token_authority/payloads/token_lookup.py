"""Finding a token by its secret, in requests and responses."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token import TokenLookup
from services.token_authority.domain.usage import Use
from services.token_authority.payloads.fields import EXAMPLE_TOKEN
from services.token_authority.payloads.tokens import SecretPayload, TokenPayload, token_fields
from shared.contract.presented_secret import describe_flaw, trim_secret
from shared.contract.token import ACCESS_TOKEN


class FindToken(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of a token."""

    token: Annotated[
        str, Meta(description="the secret, pgt_…; white space around it is ignored", examples=[EXAMPLE_TOKEN])
    ]

    def to_secret(self) -> str:
        """Return the secret. Raise `InvalidValue` for a text that is no secret of a token."""
        secret = trim_secret(self.token)
        flaw = _ID if secret.startswith("tok_") else describe_flaw(secret, ACCESS_TOKEN)
        if flaw is not None:
            raise InvalidValue(("token",), flaw)
        return secret


_ID: Final = "This is the id of a token, not its secret: use GET /v1/tokens/{id}."


class FoundTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token found by a secret. `secret` is what is known of that secret, and `works` in it whether it works."""

    secret: SecretPayload

    @classmethod
    def of_lookup(cls, found: TokenLookup, use: Use, now: datetime) -> "FoundTokenPayload":
        """Return the payload of a token and its secret at `now`."""
        works = found.token.status(now) == "active"
        secret = SecretPayload.of(found.secret, now, holder_works=works)
        return cls(**token_fields(found.token, use, now), secret=secret)
