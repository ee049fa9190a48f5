"""The rules of client assertions: JWTs by which a service authenticates, `private_key_jwt` (RFC 7523 §2.2)."""

from typing import Final

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS: Final = ("EdDSA", "ES256", "PS256", "RS256")
MAX_LIFETIME_S: Final = 300
"""How far in the future `exp` may be."""
LEEWAY_S: Final = 10
"""How much the clocks of the service and the authority may differ."""
MAX_ASSERTION_LENGTH: Final = 4096
MAX_JTI_LENGTH: Final = 256
