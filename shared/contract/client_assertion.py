"""How a service shows who it is by a JWT that it has signed with its own key: `private_key_jwt` (RFC 7523 §2.2)."""

from typing import Final

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS: Final = ("EdDSA", "ES256", "PS256", "RS256")
MAX_LIFETIME_S: Final = 300
"""How far ahead an assertion may end."""
LEEWAY_S: Final = 10
"""By how much the clocks of the two may differ."""
MAX_ASSERTION_LENGTH: Final = 4096
