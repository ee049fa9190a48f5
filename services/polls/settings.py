"""Every variable of the polls service, with its default, unit and meaning."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from shared.guard import GuardSettings
from shared.runtime.crypto.encryption import HOW_TO_MAKE_ONE, read_secret
from shared.runtime.http.cors import read_origins
from shared.runtime.http.operator_networks import PRIVATE_NETWORKS, MetricsNetworks, read_networks
from shared.runtime.pages.session_limits import SessionLimits
from shared.runtime.postgres.url import read_database_url
from shared.runtime.process.connection_limits import MAX_CONNECTIONS, MaxConnections
from shared.runtime.process.environment import FormerName, RotatableText
from shared.runtime.process.stop import SHUTDOWN_GRACE_S, ShutdownGrace


class PollsSettings(GuardSettings, frozen=True, kw_only=True):
    """Read by `shared.runtime.process.environment`; the field `polls_port` is the variable `POLLS_PORT`."""

    polls_host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    polls_port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on")] = 8080
    polls_workers: Annotated[int, Meta(ge=1, le=64, description="number of processes that share the port")] = 1
    shutdown_grace_s: ShutdownGrace = SHUTDOWN_GRACE_S
    introspection_client_id: Annotated[str, Meta(description="client id of this service at the token authority")] = (
        "polls"
    )
    resource_url: Annotated[str, Meta(description="URL of this service, as clients use it")] = "http://127.0.0.1:8080"
    polls_database_url: Annotated[
        RotatableText, Meta(description="URL of PostgreSQL, with the role polls; its file is read for each connection")
    ]
    participant_key: Annotated[
        str,
        Meta(
            description="key for hashing participants, the same for all processes; if it is lost or changed, people "
            f"can vote twice: {HOW_TO_MAKE_ONE}"
        ),
    ]
    database_pool_size: Annotated[int, Meta(ge=1, le=100, description="number of connections to PostgreSQL")] = 10
    database_statement_cache: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="prepared statements per connection; 0 for none, as with a pooler that loses them",
        ),
    ] = 100
    session_idle_minutes: Annotated[
        int, Meta(ge=1, le=1440, description="minutes without a request after which a session of the pages ends")
    ] = 30
    session_max_hours: Annotated[
        int, Meta(ge=1, le=168, description="hours after its start at which a session of the pages ends")
    ] = 12
    metrics_networks: MetricsNetworks = PRIVATE_NETWORKS
    max_connections: MaxConnections = MAX_CONNECTIONS
    event_streams: Annotated[int, Meta(ge=0, le=100_000, description="maximum number of event streams per process")] = (
        1000
    )
    event_streams_per_token: Annotated[
        int,
        Meta(ge=1, le=100_000, description="maximum number of event streams per token, in one process"),
        FormerName("EVENT_STREAMS_A_TOKEN"),
    ] = 50
    live_pages: Annotated[
        int,
        Meta(ge=0, le=100_000, description="maximum number of poll pages with live results per process"),
    ] = 1000
    embed_origins: Annotated[
        str,
        Meta(
            description="origins of the pages that may show poll pages in a frame, separated by spaces or commas, such "
            "as https://example.atlassian.net; empty for none"
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Raise `SettingsError` if a credential, key or network is invalid, before anything is opened."""
        super().__post_init__()
        read_database_url(self.polls_database_url.read(), "POLLS_DATABASE_URL")
        read_secret("PARTICIPANT_KEY", self.participant_key)
        read_networks(self.metrics_networks)
        read_origins(self.embed_origins, "EMBED_ORIGINS")

    @property
    def framing_origins(self) -> list[str]:
        """The origins in `embed_origins`, in its order."""
        return self.embed_origins.replace(",", " ").split()

    @property
    def base_url(self) -> str:
        """`resource_url` without a slash at its end, so that a path can follow."""
        return self.resource_url.rstrip("/")

    @property
    def participant_secret(self) -> bytes:
        """The 32 bytes of `participant_key`."""
        return read_secret("PARTICIPANT_KEY", self.participant_key)

    @property
    def session_limits(self) -> SessionLimits:
        """When sessions of the pages to manage polls end."""
        return SessionLimits(timedelta(minutes=self.session_idle_minutes), timedelta(hours=self.session_max_hours))
