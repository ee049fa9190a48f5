"""Introspection in requests and responses (RFC 7662)."""

from functools import lru_cache
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from services.token_authority.domain.client_assertion import ASSERTION_TYPE
from services.token_authority.domain.token import TokenLookup
from services.token_authority.payloads.fields import EXAMPLE_TOKEN
from shared.contract.introspection import AUDIENCE, Active
from shared.contract.scope import Action, Scope, format_scopes

MAX_BATCH: Final = 100


class IntrospectTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens to introspect in one request, such as to warm a cache."""

    tokens: Annotated[list[str], Meta(min_length=1, max_length=MAX_BATCH, examples=[[EXAMPLE_TOKEN]])]


class Introspections(Struct, frozen=True):
    """The introspection of each token, in the order of the request."""

    items: Annotated[list[Any], Meta(description="each the response of `POST /oauth2/introspect`")]


class PresentedToken(Struct, frozen=True):
    """A token in a form (RFC 7009 §2.1, RFC 7662 §2.1)."""

    token: Annotated[str, Meta(min_length=1, examples=[EXAMPLE_TOKEN])]
    token_type_hint: Annotated[str, Meta(description="accepted and ignored")] = ""


class IntrospectToken(PresentedToken, frozen=True):
    """A token to introspect. A service may authenticate in the same form (RFC 6749 §2.3.1, RFC 7523 §2.2)."""

    client_id: Annotated[str, Meta(description="required with a client_secret")] = ""
    client_secret: Annotated[str, Meta(description="the secret of the service, instead of a header")] = ""
    client_assertion_type: Annotated[str, Meta(description=f"required with an assertion: `{ASSERTION_TYPE}`")] = ""
    client_assertion: Annotated[str, Meta(description="a JWT signed by the service, instead of a header")] = ""


class ClientFields(Struct, frozen=True):
    """The fields of a form that authenticate the client (RFC 6749 §2.3.1, RFC 7521 §4.2)."""

    client_id: str | None = None
    client_secret: str | None = None
    client_assertion: str | None = None
    client_assertion_type: str | None = None


def active_token(lookup: TokenLookup, issuer: str) -> Active:
    """Return the introspection of a token that works, issued by `issuer`."""
    token, secret = lookup.token, lookup.secret
    ends = [end for end in (token.expires_at, secret.ends_at) if end is not None]
    return Active(
        active=True,
        scope=format_scopes(token.scopes),
        client_id=token.id,
        sub=token.id,
        username=token.owner,
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        iat=int(token.created_at.timestamp()),
        exp=int(min(ends).timestamp()) if ends else None,
        iss=issuer,
        aud=AUDIENCE,
        jti=secret.id,
        site=token.site_id,
        endpoint_id=lookup.endpoint_id,
        as_of=lookup.as_of,
        allow_query=token.allow_query,
        allowed_ips=list(token.allowed_ips),
        rate_limit=token.rate_limit,
        metadata=dict(token.metadata),
        authorization_details=[_authorization_detail(scope) for scope in token.scopes],
    )


@lru_cache(4096)
def _authorization_detail(scope: Scope) -> dict[str, Any]:
    """Return a scope as an object (RFC 9396 §2); without `workspace` it covers every workspace."""
    place = dict(zip(("workspace", "content", "container"), scope.path, strict=False))
    return {"type": AUDIENCE, "actions": [action for action in Action if action in scope.actions], **place}
