"""Introspection: what is asked, and what is said of a token that works."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from services.token_authority.storage.tokens import Known
from shared.contract.client_assertion import ASSERTION_TYPE
from shared.contract.introspection import AUDIENCE, Active
from shared.contract.scope import Action, Scope, format_scopes

MAX_BATCH: Final = 100


class IntrospectTokens(Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens to be introspected at once, as when a cache is warmed."""

    tokens: Annotated[list[str], Meta(min_length=1, max_length=MAX_BATCH)]


class Introspections(Struct, frozen=True):
    """What is said of each of the tokens, in the order in which they were asked about."""

    items: Annotated[list[Any], Meta(description="each as `POST /oauth2/introspect` answers")]


class PresentedToken(Struct, frozen=True):
    """A token, as RFC 7009 and RFC 7662 have it presented."""

    token: Annotated[str, Meta(min_length=1)]
    token_type_hint: Annotated[str, Meta(description="is not looked at")] = ""


class IntrospectToken(PresentedToken, frozen=True):
    """A token to be introspected; a service that has no secret shows who it is here too (RFC 7523 §2.2)."""

    client_assertion_type: Annotated[str, Meta(description=f"with an assertion: `{ASSERTION_TYPE}`")] = ""
    client_assertion: Annotated[str, Meta(description="a JWT that the service has signed, in place of a header")] = ""


def active(known: Known, issuer: str) -> Active:
    """What a service may know of a token that works, issued by `issuer`."""
    token, secret = known.token, known.secret
    ends = [end for end in (token.expires_at, secret.ends_at) if end is not None]
    return Active(
        active=True,
        scope=format_scopes(token.scopes),
        client_id=token.id,
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        iat=int(token.created_at.timestamp()),
        exp=int(min(ends).timestamp()) if ends else None,
        iss=issuer,
        aud=AUDIENCE,
        jti=secret.id,
        site=token.site_id,
        endpoint_id=known.endpoint_id,
        as_of=known.as_of,
        allow_query=token.allow_query,
        allowed_ips=list(token.allowed_ips),
        rate_limit=token.rate_limit,
        metadata=dict(token.metadata),
        authorization_details=[_detail(scope) for scope in token.scopes],
    )


def _detail(scope: Scope) -> dict[str, Any]:
    """A scope as an object (RFC 9396 §2); without `workspace` it reaches everything."""
    place = dict(zip(("workspace", "content", "container"), scope.path, strict=False))
    return {"type": AUDIENCE, "actions": [action for action in Action if action in scope.actions], **place}
