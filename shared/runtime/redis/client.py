"""Create a Redis client whose calls have a time limit and are not retried."""

from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.runtime.process.environment import split_url
from shared.runtime.traces.current import current_traces

REDIS_LIMIT_S: Final = 1.0


def redis_client(url: str) -> Redis:
    """Return a client for `redis://[user:password@]host[:port]`, which the caller has to close.

    It connects at the first call. Raise `SettingsError` if `url` is not a URL.
    """
    split_url(url, "the Redis URL")
    client = Redis.from_url(
        url,
        socket_timeout=REDIS_LIMIT_S,
        socket_connect_timeout=REDIS_LIMIT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
    )
    return current_traces().trace_commands(client)


def redis_address_of(url: str) -> str:
    """Return host and port of a Redis URL, never the user or the password. Raise `SettingsError`."""
    parts = split_url(url, "the Redis URL")
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
