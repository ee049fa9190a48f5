"""Sign-in links in responses."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

SIGN_IN_LINK_PATH: Final = "/settings/sign-in/link"
"""The settings page that a link opens."""


class SignInLinkPayload(Struct, frozen=True):
    """A link that signs in once on the settings pages, with the rights of the admin key that created it."""

    url: Annotated[str, Meta(description="to open in a browser on the machine of the token authority")]
    expires_at: datetime

    @classmethod
    def of(cls, issuer: str, code: str, expires_at: datetime) -> "SignInLinkPayload":
        """Return the payload of a link to the authority with this issuer URL."""
        return cls(url=f"{issuer.rstrip('/')}{SIGN_IN_LINK_PATH}?code={code}", expires_at=expires_at)
