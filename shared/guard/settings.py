"""The settings of a guard. The name of each field in upper case is its environment variable."""

import os
from typing import Annotated

from msgspec import Meta, Struct

from shared.runtime.crypto.jwt_keys import FIT_KEYS, PrivateKey, UnfitKey, read_private_key
from shared.runtime.http.client_address import ProxyHops
from shared.runtime.http.cors import CorsOrigins, read_origins
from shared.runtime.process.environment import RotatableText, SettingsError, read_settings, split_url
from shared.runtime.redis.address import require_redis_url


class GuardSettings(Struct, frozen=True, kw_only=True):
    """The settings that every guarded service needs; the settings of a service may extend them."""

    token_authority_url: Annotated[str, Meta(description="URL of the token authority, as this service reaches it")]
    introspection_client_id: Annotated[str, Meta(description="client id of this service at the token authority")]
    introspection_client_secret: Annotated[
        str, Meta(description="client secret of this service; set this or INTROSPECTION_PRIVATE_KEY")
    ] = ""
    introspection_private_key: Annotated[
        str,
        Meta(
            description=f"private key of this service in PEM, instead of a client secret: {FIT_KEYS}; the token "
            "authority has the public key"
        ),
    ] = ""
    redis_url: Annotated[
        RotatableText,
        Meta(
            description="URL of Redis, of its Sentinels or of a cluster, with a user that may subscribe to changes and "
            "count requests"
        ),
    ]
    resource_url: Annotated[str, Meta(description="URL of this service, as callers reach it")]
    trusted_proxy_hops: ProxyHops = 0
    report_token_origin: Annotated[
        bool,
        Meta(
            description="true to report to the token authority from which address and user agent each token was used "
            "last, or false"
        ),
    ] = True
    cors_origins: CorsOrigins = ""
    unknown_tokens_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="tokens per minute from one address that do not work, before further ones get 429; working "
            "ones are still accepted, in their turn",
        ),
    ] = 60

    def __post_init__(self) -> None:
        """Raise `SettingsError` unless there is exactly one usable credential, and URL and origins can be read."""
        _require_plain_url(self.token_authority_url)
        require_redis_url(self.redis_url)
        if bool(self.introspection_client_secret) == bool(self.introspection_private_key):
            raise SettingsError(
                "set one of INTROSPECTION_CLIENT_SECRET and INTROSPECTION_PRIVATE_KEY, or its _FILE: this service "
                "authenticates to the token authority with it"
            )
        self._read_signing_key()
        read_origins(self.cors_origins)

    @property
    def signing_key(self) -> PrivateKey | None:
        """The private key of this service, or `None` if it has a client secret."""
        return self._read_signing_key()

    def _read_signing_key(self) -> PrivateKey | None:
        """Return the private key. Raise `SettingsError` if it is unusable."""
        if not self.introspection_private_key:
            return None
        try:
            return read_private_key(self.introspection_private_key)
        except UnfitKey as error:
            raise SettingsError(f"INTROSPECTION_PRIVATE_KEY is wrong: {error}; use {FIT_KEYS}") from None


def _require_plain_url(url: str) -> None:
    """Raise `SettingsError` unless this is a URL that may be shown: messages and `/readyz` name it."""
    parts = split_url(url, "TOKEN_AUTHORITY_URL")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise SettingsError(
            "TOKEN_AUTHORITY_URL is wrong: give http:// or https:// and a host, without a user and a password"
        )


def guard_settings() -> GuardSettings:
    """Read the settings from the environment. Raise `SettingsError`, which names the wrong variable."""
    return read_settings(GuardSettings, os.environ)
