"""Every variable of the token authority, with its default, unit and meaning."""

import hashlib
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from shared.runtime.crypto.encryption import HOW_TO_MAKE_ONE, read_secrets
from shared.runtime.http.client_address import ProxyHops
from shared.runtime.process.environment import split_url


class TokenAuthoritySettings(Struct, frozen=True, kw_only=True):
    """Read by `shared.runtime.process.environment`; the field `redis_url` is the variable `REDIS_URL`."""

    token_authority_host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    token_authority_port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on")] = 8081
    token_authority_workers: Annotated[int, Meta(ge=1, le=64, description="processes that share the port")] = 1
    token_authority_issuer: Annotated[str, Meta(description="URL that tokens name as their issuer")] = (
        "http://127.0.0.1:8081"
    )
    token_authority_database_url: Annotated[str, Meta(description="PostgreSQL, as the role token_authority")]
    redis_url: Annotated[str, Meta(description="Redis, as a user that may publish changes")]
    service_credentials: Annotated[
        str,
        Meta(
            description="services that may introspect, as client_id:client_secret, separated by spaces or lines; one "
            "that is left out later keeps its last secret"
        ),
    ]
    key_encryption_key: Annotated[
        str,
        Meta(
            description=f"what the signing keys in the database are encrypted with: {HOW_TO_MAKE_ONE}; the same for "
            "all processes, and while it is being replaced, the new one and behind it the old"
        ),
    ]
    revocation_lease: Annotated[
        float,
        Meta(
            ge=0.5,
            le=60,
            description="for how many seconds, 0.5 to 60, a guard may use its cache without hearing from us; longer "
            "rides out longer restarts, and makes a revocation wait longer for a guard that is cut off",
        ),
    ] = 5.0
    admin_key_file: Annotated[str, Meta(description="where the first admin key is put")] = ".pollgate/admin.key"
    first_site_name: Annotated[str, Meta(description="name of the site made at first start")] = "My site"
    max_token_lifetime_days: Annotated[
        int, Meta(ge=0, le=36500, description="after how many days a token has to end; 0 for no such rule")
    ] = 0
    disable_unused_after_days: Annotated[
        int, Meta(ge=0, le=36500, description="after how many days without use a token is disabled; 0 for never")
    ] = 0
    wrong_credentials_a_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="after how many wrong admin keys, service credentials and tokens from one address in a minute "
            "it has to wait",
        ),
    ] = 30
    wrong_credentials_a_minute_a_service: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="after how many for one client id, from anywhere, others that are wrong are 429; good ones "
            "always pass",
        ),
    ] = 100
    open_tokens_a_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="about how many tokens one address may ask in a minute where no other credential is needed; "
            "those that it ends do not count",
        ),
    ] = 600
    trusted_proxy_hops: ProxyHops = 0
    database_pool_size: Annotated[int, Meta(ge=2, le=100, description="connections to PostgreSQL")] = 10
    database_statement_cache: Annotated[
        int,
        Meta(ge=0, le=1000, description="prepared statements a connection; 0 behind a transaction pooler"),
    ] = 100

    def __post_init__(self) -> None:
        """Raises `SettingsError` for a wrong `key_encryption_key`, before anything is opened."""
        _ = self.encryption_secrets

    @property
    def encryption_secrets(self) -> tuple[bytes, ...]:
        """The secrets of `key_encryption_key`, of which the first encrypts."""
        return read_secrets("KEY_ENCRYPTION_KEY", self.key_encryption_key)

    @property
    def counted_apart(self) -> str:
        """What keeps the counts of this authority from those of another one on the same Redis."""
        database = split_url(self.token_authority_database_url, "TOKEN_AUTHORITY_DATABASE_URL").path
        return hashlib.sha256(f"{self.token_authority_issuer} {database}".encode()).hexdigest()[:12]

    @property
    def longest_lifetime(self) -> timedelta | None:
        """How long a token may live; `None` for as long as anyone likes."""
        return timedelta(days=self.max_token_lifetime_days) if self.max_token_lifetime_days else None

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return round(self.revocation_lease * 1000)
