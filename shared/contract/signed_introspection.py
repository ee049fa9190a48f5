"""The answer to an introspection as a JWT that the authority has signed (RFC 9701)."""

from typing import Final

import msgspec

INTROSPECTION_JWT_TYPE: Final = "token-introspection+jwt"
INTROSPECTION_JWT_MEDIA_TYPE: Final = f"application/{INTROSPECTION_JWT_TYPE}"
"""Asked for in the Accept header, and the answer's Content-Type."""


class IntrospectionClaims(msgspec.Struct, frozen=True):
    """The claims (RFC 9701 §5). `aud` is the client id of the service that has asked; `token_introspection` is the
    object that would be the answer in JSON.
    """

    iss: str
    aud: str
    iat: int
    token_introspection: msgspec.Struct
