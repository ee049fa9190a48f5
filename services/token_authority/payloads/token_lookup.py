"""Finding a token by its secret, in requests and responses."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token import TokenLookup
from services.token_authority.domain.usage import Use
from services.token_authority.payloads.fields import EXAMPLE_TOKEN
from services.token_authority.payloads.tokens import SecretPayload, TokenPayload, token_fields
from shared.contract.presented_secret import trim_secret
from shared.contract.token import ACCESS_TOKEN, ADMIN_KEY, CLIENT_SECRET, is_well_formed


class FindToken(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of a token."""

    token: Annotated[
        str, Meta(description="the secret, pgt_…; white space around it is ignored", examples=[EXAMPLE_TOKEN])
    ]

    def to_secret(self) -> str:
        """Return the secret. Raise `InvalidValue` for a text that is no secret of a token."""
        secret = trim_secret(self.token)
        if is_well_formed(secret, ACCESS_TOKEN):
            return secret
        raise InvalidValue(("token",), next((is_not for prefix, is_not in _OTHER if secret.startswith(prefix)), _WRONG))


_WRONG = "must be the secret of an access token, pgt_ and 38 characters; this one is mistyped or incomplete"
_OTHER = (
    ("tok_", "must be the secret of an access token, pgt_…; this is a token's id: use GET /v1/tokens/{id}"),
    (f"{ADMIN_KEY}_", "must be the secret of an access token, pgt_…; this is an admin key"),
    (f"{CLIENT_SECRET}_", "must be the secret of an access token, pgt_…; this is the secret of a service"),
)


class FoundTokenPayload(TokenPayload, frozen=True, kw_only=True):
    """A token found by a secret. `secret` is what is known of that secret, and `works` in it whether it works."""

    secret: SecretPayload

    @classmethod
    def of_lookup(cls, found: TokenLookup, use: Use, now: datetime) -> "FoundTokenPayload":
        """Return the payload of a token and its secret at `now`."""
        alive = found.token.status(now) == "active"
        return cls(**token_fields(found.token, use, now), secret=SecretPayload.of(found.secret, now, alive=alive))
