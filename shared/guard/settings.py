"""What a guard has to be told, with the names of the variables that say it."""

import os
from typing import Annotated

from msgspec import Meta, Struct

from shared.runtime.crypto.jwt_keys import FIT_KEYS, PrivateKey, UnfitKey, read_private_key
from shared.runtime.http.client_address import ProxyHops
from shared.runtime.process.environment import SettingsError, read_settings


class GuardSettings(Struct, frozen=True, kw_only=True):
    """A service's own settings may extend this."""

    token_authority_url: Annotated[str, Meta(description="where tokens are introspected")]
    introspection_client_id: Annotated[str, Meta(description="as whom")]
    introspection_client_secret: Annotated[str, Meta(description="and with which secret, where it has one")] = ""
    introspection_private_key: Annotated[
        str,
        Meta(description=f"else the private key in PEM whose public one the authority has: {FIT_KEYS}"),
    ] = ""
    redis_url: Annotated[str, Meta(description="Redis, as a user that may subscribe to changes and count requests")]
    resource_url: Annotated[str, Meta(description="URL of this service, as its callers know it")]
    trusted_proxy_hops: ProxyHops = 0

    def __post_init__(self) -> None:
        """Raises `SettingsError` unless there is one credential that can be one."""
        if bool(self.introspection_client_secret) == bool(self.introspection_private_key):
            raise SettingsError(
                "set one of INTROSPECTION_CLIENT_SECRET and INTROSPECTION_PRIVATE_KEY, or its _FILE: it says how this "
                "service shows the token authority who it is"
            )
        _ = self.signing_key

    @property
    def signing_key(self) -> PrivateKey | None:
        """The key that signs for this service, where it has one."""
        if not self.introspection_private_key:
            return None
        try:
            return read_private_key(self.introspection_private_key)
        except UnfitKey as error:
            raise SettingsError(f"INTROSPECTION_PRIVATE_KEY is wrong: {error}; give {FIT_KEYS}") from None


def guard_settings() -> GuardSettings:
    """The settings from the environment. Raises `SettingsError` that names the variable at fault."""
    return read_settings(GuardSettings, os.environ)
