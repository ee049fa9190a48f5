"""The settings of the token authority, each with its default, unit and meaning."""

import hashlib
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from services.token_authority.domain.person import GroupRights
from services.token_authority.sign_in_settings import read_group_rights, require_provider
from shared.runtime.crypto.encryption import HOW_TO_MAKE_ONE, read_secrets
from shared.runtime.http.client_address import ProxyHops
from shared.runtime.http.cors import CorsOrigins, read_origins
from shared.runtime.http.operator_networks import PRIVATE_NETWORKS, MetricsNetworks, read_networks
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.url import read_database_url
from shared.runtime.process.connection_limits import MAX_CONNECTIONS, MaxConnections
from shared.runtime.process.environment import FormerName, RotatableText
from shared.runtime.process.stop import SHUTDOWN_GRACE_S, ShutdownGrace
from shared.runtime.redis.address import require_redis_url


class TokenAuthoritySettings(Struct, frozen=True, kw_only=True):
    """Read by `shared.runtime.process.environment`; the field `redis_url` is the variable `REDIS_URL`."""

    token_authority_host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    token_authority_port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on")] = 8081
    token_authority_workers: Annotated[
        int, Meta(ge=1, le=64, description="number of processes that share the port")
    ] = 1
    shutdown_grace_s: ShutdownGrace = SHUTDOWN_GRACE_S
    token_authority_issuer: Annotated[str, Meta(description="URL of the authority, the issuer of its tokens")] = (
        "http://127.0.0.1:8081"
    )
    token_authority_database_url: Annotated[
        RotatableText,
        Meta(description="URL of PostgreSQL, with the role token_authority; its file is read for each connection"),
    ]
    polls_url: Annotated[
        str, Meta(description="URL of the polls service for its clients, in the commands that the settings pages show")
    ] = "http://127.0.0.1:8080"
    cors_origins: CorsOrigins = ""
    redis_url: Annotated[
        RotatableText,
        Meta(description="URL of Redis, its Sentinels or a cluster, with a user that may publish changes"),
    ]
    service_credentials: Annotated[
        str,
        Meta(
            description="services that may introspect, as client_id:client_secret, separated by whitespace; a service "
            "that is removed here later keeps its last secret"
        ),
    ]
    key_encryption_key: Annotated[
        str,
        Meta(
            description=f"secret that encrypts the signing keys in the database: {HOW_TO_MAKE_ONE}; the same for all "
            "processes; to replace it, set the new one and after it the old one"
        ),
    ]
    revocation_lease: Annotated[
        float,
        Meta(
            ge=0.5,
            le=60,
            description="for how many seconds, 0.5 to 60, a guard may use its cache without a sync; a longer lease "
            "bridges longer restarts, and makes a revocation wait longer for a guard that cannot be reached",
        ),
    ] = 5.0
    admin_key_file: Annotated[
        str, Meta(description="file for the first admin key, in a folder that only this user can write to")
    ] = ".pollgate/admin.key"
    journal_file: Annotated[
        str,
        Meta(
            description="file to which every audit record is also written, in a folder that only this user can write "
            "to, on another disk than the database; after a restore of the database, it says which tokens and keys "
            "ended since the backup; empty for none"
        ),
    ] = ""
    journal_days: Annotated[
        int,
        Meta(
            ge=1,
            le=36500,
            description="days for which a full file of the journal is kept, longer than the oldest backup that you "
            "would restore",
        ),
    ] = 400
    first_site_name: Annotated[str, Meta(description="name of the site that is created at the first start")] = "My site"
    max_token_lifetime_days: Annotated[
        int, Meta(ge=0, le=36500, description="maximum lifetime of a token in days; 0 for no limit")
    ] = 0
    disable_unused_after_days: Annotated[
        int, Meta(ge=0, le=36500, description="days without use after which a token is disabled; 0 for never")
    ] = 0
    ended_token_retention_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36500,
            description="days after which a token that was revoked or has expired is removed; the audit log keeps its "
            "history; 0 for never",
        ),
    ] = 400
    store_token_origin: Annotated[
        bool, Meta(description="true to store from which address and user agent each token was used last, or false")
    ] = True
    session_idle_minutes: Annotated[
        int, Meta(ge=1, le=1440, description="minutes without a request after which a session of the pages ends")
    ] = 30
    session_max_hours: Annotated[
        int, Meta(ge=1, le=168, description="hours after its start at which a session of the pages ends")
    ] = 12
    wrong_credentials_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="wrong admin keys, service credentials and tokens per minute from one address, and unreadable "
            "bodies without a credential, before further ones get 429; valid ones are still accepted, in their turn",
        ),
        FormerName("WRONG_CREDENTIALS_A_MINUTE"),
    ] = 30
    wrong_credentials_per_minute_per_service: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="wrong credentials per minute for one client id from any address, before further wrong ones "
            "get 429; correct ones are always accepted",
        ),
        FormerName("WRONG_CREDENTIALS_A_MINUTE_A_SERVICE"),
    ] = 100
    open_tokens_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="tokens per minute that are looked up for one address on routes without another credential; "
            "tokens that the request revokes do not count; beyond the limit, unknown ones get 429",
        ),
        FormerName("OPEN_TOKENS_A_MINUTE"),
    ] = 600
    open_requests_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="requests per minute from one address at one process without a credential, before further ones "
            "wait for a second or get 429",
        ),
    ] = 600
    oidc_issuer: Annotated[
        str,
        Meta(
            description="URL of the OpenID provider by which people sign in to the settings pages, as in the `issuer` "
            "of its metadata; empty for none"
        ),
    ] = ""
    oidc_client_id: Annotated[str, Meta(description="client id of this authority at the OpenID provider")] = ""
    oidc_client_secret: Annotated[
        str, Meta(description="client secret of this authority at the OpenID provider; empty for a public client")
    ] = ""
    oidc_name: Annotated[str, Meta(description="name of the OpenID provider on the button for signing in")] = (
        "your organisation"
    )
    oidc_scopes: Annotated[
        str, Meta(description="scopes to request from the OpenID provider, openid among them, separated by spaces")
    ] = "openid profile email groups"
    oidc_groups_claim: Annotated[
        str, Meta(description="claim with the groups of a person, in the ID token or the response of userinfo")
    ] = "groups"
    oidc_groups: Annotated[
        str,
        Meta(
            description="JSON object from groups to roles: admin, issuer or auditor, or an object with role and the "
            "limits sites and scopes; a person in several groups has the role of the first one here"
        ),
    ] = ""
    trusted_proxy_hops: ProxyHops = 0
    max_connections: MaxConnections = MAX_CONNECTIONS
    metrics_networks: MetricsNetworks = PRIVATE_NETWORKS
    database_pool_size: Annotated[int, Meta(ge=2, le=100, description="number of connections to PostgreSQL")] = 10
    database_statement_cache: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="prepared statements per connection; 0 for none, as with a pooler that loses them",
        ),
    ] = 100

    def __post_init__(self) -> None:
        """Raise `SettingsError` for an invalid key, URL, network, origin or provider, before a connection is opened."""
        require_redis_url(self.redis_url)
        read_secrets("KEY_ENCRYPTION_KEY", self.key_encryption_key)
        read_database_url(self.token_authority_database_url.read(), "TOKEN_AUTHORITY_DATABASE_URL")
        read_networks(self.metrics_networks)
        read_origins(self.cors_origins)
        require_provider(self.oidc_issuer, self.oidc_client_id, self.oidc_scopes, self.oidc_groups)

    @property
    def encryption_secrets(self) -> tuple[bytes, ...]:
        """The secrets in `key_encryption_key`. The first one encrypts, all decrypt."""
        return read_secrets("KEY_ENCRYPTION_KEY", self.key_encryption_key)

    @property
    def group_rights(self) -> tuple[GroupRights, ...]:
        """The groups at the OpenID provider that have a role, in the order of the setting."""
        return read_group_rights(self.oidc_groups) if self.oidc_groups else ()

    @property
    def rate_limit_namespace(self) -> str:
        """Separates the counts of this authority from those of another one on the same Redis."""
        database = read_database_url(self.token_authority_database_url.read()).database
        return hashlib.sha256(f"{self.token_authority_issuer} /{database}".encode()).hexdigest()[:12]

    @property
    def max_token_lifetime(self) -> timedelta | None:
        """The maximum lifetime of a token; `None` for no limit."""
        return timedelta(days=self.max_token_lifetime_days) if self.max_token_lifetime_days else None

    @property
    def session_limits(self) -> SessionLimits:
        """When sessions of the settings pages end."""
        return SessionLimits(timedelta(minutes=self.session_idle_minutes), timedelta(hours=self.session_max_hours))

    @property
    def lease_ms(self) -> int:
        """The duration of a lease in milliseconds."""
        return round(self.revocation_lease * 1000)
