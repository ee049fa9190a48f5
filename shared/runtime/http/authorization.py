"""Split an Authorization header into its scheme and credential (RFC 9110 §11.4)."""

from msgspec import Struct


class Authorization(Struct, frozen=True):
    """The scheme in lower case, because its case does not matter, and the credential; empty without one."""

    scheme: str
    credential: str


def read_authorization(header: str) -> Authorization:
    """Read a header value. One or more blanks separate the scheme from the credential."""
    scheme, _, credential = header.strip().partition(" ")
    return Authorization(scheme.lower(), credential.strip())
