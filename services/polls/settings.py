"""Every variable of the polls service, with its default, unit and meaning."""

from typing import Annotated

from msgspec import Meta

from shared.guard import GuardSettings
from shared.runtime.crypto.encryption import HOW_TO_MAKE_ONE, read_secret


class PollsSettings(GuardSettings, frozen=True, kw_only=True):
    """Read by `shared.runtime.process.environment`; the field `polls_port` is the variable `POLLS_PORT`."""

    polls_host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    polls_port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on")] = 8080
    polls_workers: Annotated[int, Meta(ge=1, le=64, description="processes that share the port")] = 1
    introspection_client_id: Annotated[str, Meta(description="as whom")] = "polls"
    resource_url: Annotated[str, Meta(description="URL of this service, as its callers know it")] = (
        "http://127.0.0.1:8080"
    )
    polls_database_url: Annotated[str, Meta(description="PostgreSQL, as the role polls")]
    participant_key: Annotated[
        str,
        Meta(
            description="keys the hashes of participants; if it is lost or changed, people can vote twice: "
            f"{HOW_TO_MAKE_ONE}; the same for all processes"
        ),
    ]
    database_pool_size: Annotated[int, Meta(ge=1, le=100, description="connections to PostgreSQL")] = 10
    database_statement_cache: Annotated[
        int,
        Meta(ge=0, le=1000, description="prepared statements a connection; 0 behind a transaction pooler"),
    ] = 100
    event_streams: Annotated[int, Meta(ge=0, le=100_000, description="streams of events that a process takes")] = 1000
    event_streams_a_token: Annotated[int, Meta(ge=1, le=100_000, description="of these, for one token")] = 50

    def __post_init__(self) -> None:
        """Raises `SettingsError` for a wrong credential or `participant_key`, before anything is opened."""
        super().__post_init__()
        _ = self.participant_secret

    @property
    def participant_secret(self) -> bytes:
        """The secret of `participant_key`."""
        return read_secret("PARTICIPANT_KEY", self.participant_key)
